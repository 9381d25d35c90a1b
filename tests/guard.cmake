# The holder: its log, the guard that owns its outputs, the daemon's link to it.
latticed_add_test(server/holder/holder_log_test LINKS latticed::holder)
foreach(name holder_core spsc_queue)
  latticed_add_test(server/guard/${name}_test LINKS latticed::guard)
endforeach()

# The guard as a process. Debian's interpreter by full path: another python3 may come first in PATH.
add_test(NAME server/guard/guard_test
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/server/guard/guard_test.py)
set_tests_properties(server/guard/guard_test PROPERTIES TIMEOUT 1200
  ENVIRONMENT "GUARD=$<TARGET_FILE:latticed-guard>;SIM_WORLD=$<TARGET_FILE:sim-world>")
