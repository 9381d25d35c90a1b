# Tests of the mathematics in server/signal, and of the two stages that are thin shells around it.
foreach(name analysis_grid taper bin_image frame_fft lane_fft change_detector compact_maps lattice_cell lattice_fit
        lattice_search lattice_tracker random_walk_filter scan_distortion)
  latticed_add_test(server/signal/${name}_test ONE_THREAD LINKS latticed::signal)
endforeach()
foreach(name hot_pixels mean_velocity scale_fit peak_detect spot_refine cell_doubt drift_anchor drift_bins drift_landing
        drift_leak drift_match drift_tracker field_mosaic field_search filling_lattice film_reference match_fit
        reflection_mean running_sum running_template streak template_place usual_fit)
  latticed_add_test(server/signal/${name}_test ONE_THREAD LINKS latticed::process latticed::sim_specimen)
endforeach()
foreach(name lattice_stage drift_stage sum_stage)
  latticed_add_test(server/process/${name}_test ONE_THREAD LINKS latticed::process latticed::sim_specimen)
endforeach()

# The whole program, against a real movie and against another program. Debian's interpreter by path.
add_test(NAME server/app/real_movie_test
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/server/app/real_movie_test.py
          $<TARGET_FILE:latticed> ${PROJECT_SOURCE_DIR})
add_test(NAME server/app/drift_reference_test
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/server/app/drift_reference_test.py $<TARGET_FILE:latticed>)
set_tests_properties(server/app/real_movie_test server/app/drift_reference_test
  PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)

# Run by hand: what the drift of a frame costs.
latticed_add_program(maps_bench
  SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/maps_bench.cpp LINKS latticed::signal)
latticed_add_program(drift_bench
  SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/drift_bench.cpp
  LINKS latticed_test_support latticed::process latticed::sim_render)
