# Tests of a frame's way through the server: base, frame, acquire, process.
foreach(name doorbell free_memory histogram edge_counters named_thread shared_thread fixed_vector touched_memory)
  latticed_add_test(server/base/${name}_test LINKS latticed::base)
endforeach()
latticed_add_test(drivers/kit/copy_pixels_test LINKS latticed::kit)
foreach(name pool frame lease_queue)
  latticed_add_test(server/frame/${name}_test LINKS latticed::frame)
endforeach()
latticed_add_test(server/acquire/frame_source_test LINKS latticed::acquire)
foreach(name stall sequence_ring preparer alert_rules alert_stage analysis_setup change_box pipeline sink_runner)
  latticed_add_test(server/process/${name}_test LINKS latticed::process)
endforeach()
latticed_add_test(server/process/line_test LINKS latticed::process latticed::sim_specimen)
add_library(latticed_allocation_count STATIC ${PROJECT_SOURCE_DIR}/tests/support/allocation_count.cpp)
target_link_libraries(latticed_allocation_count PUBLIC latticed_flags)
latticed_add_test(server/process/hot_path_test LINKS latticed_allocation_count latticed::process)

latticed_add_test(drivers/replay/replay_conformance_test LINKS latticed_conformance latticed::replay)

# Run by hand: what a hand-over costs.
latticed_add_program(start_bench
  SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/start_bench.cpp
  LINKS latticed_test_support latticed::process latticed::bench_frames)
latticed_add_program(queue_pool_bench
  SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/queue_pool_bench.cpp LINKS latticed::process)
