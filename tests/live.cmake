# What remote clients see while it happens.
foreach(name event_queue history to_proto alert_book feed fourier_view running_mean)
  latticed_add_test(server/live/${name}_test LINKS latticed::live)
endforeach()
latticed_add_test(server/live/preview_renderer_test LINKS latticed::live opencv::core opencv::imgcodecs)
latticed_add_test(server/live/live_test LINKS latticed::live zmq::zmq)
latticed_add_test(server/live/zmq_publisher_test LINKS latticed::live zmq::zmq)
foreach(name measurements_service alerts_service preview_service)
  latticed_add_test(server/live/${name}_test LINKS latticed::live)
endforeach()

# Run by hand: what watching costs.
latticed_add_program(live_bench
  SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/live_bench.cpp LINKS latticed::live zmq::zmq)
