# What remote clients see while it happens.
foreach(name event_queue history to_proto)
  latticed_add_test(server/live/${name}_test LINKS latticed::live)
endforeach()
