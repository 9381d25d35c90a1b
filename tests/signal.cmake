# Tests of the mathematics in server/signal, and of the two stages that are thin shells around it.
foreach(name analysis_grid taper bin_image frame_fft change_detector)
  latticed_add_test(server/signal/${name}_test LINKS latticed::signal)
endforeach()
foreach(name hot_pixels peak_detect spot_refine)
  latticed_add_test(server/signal/${name}_test LINKS latticed::process latticed::sim_specimen)
endforeach()
