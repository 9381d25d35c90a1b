# The daemon's control side: who may do what, the state machine, references, session, gRPC.
foreach(name gate refusal)
  latticed_add_test(server/rpc/${name}_test LINKS latticed::rpc)
endforeach()
foreach(name acquisition calibration_store mean_spacings recorder recovery reference_store request_log rpc_server session_store
             standards)
  latticed_add_test(server/control/${name}_test LINKS latticed::control)
endforeach()
latticed_add_test(server/control/holder_service_test LINKS latticed::control latticed::guard)
latticed_add_test(server/control/daemon_test LINKS latticed::daemon latticed::control)
