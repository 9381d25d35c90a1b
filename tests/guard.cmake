# The holder: its log, the guard that owns its outputs, the daemon's link to it.
latticed_add_test(server/holder/holder_log_test LINKS latticed::holder)
