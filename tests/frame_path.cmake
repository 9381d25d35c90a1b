# Tests of a frame's way through the server: base, frame, acquire, process.
foreach(name doorbell histogram edge_counters named_thread fixed_vector)
  latticed_add_test(server/base/${name}_test LINKS latticed::base)
endforeach()
foreach(name pool frame lease_queue)
  latticed_add_test(server/frame/${name}_test LINKS latticed::frame)
endforeach()
