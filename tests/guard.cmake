# The holder: its log, the guard that owns its outputs, the daemon's link to it.
latticed_add_test(server/holder/holder_log_test LINKS latticed::holder)
latticed_add_test(server/holder/guard_link_test LINKS latticed::holder latticed::guard)
foreach(name audit control guard_config holder_core line_socket spsc_queue wire)
  latticed_add_test(server/guard/${name}_test LINKS latticed::guard)
endforeach()

# The guard as a process. Debian's interpreter by full path: another python3 may come first in PATH.
add_test(NAME server/guard/guard_test
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/server/guard/guard_test.py)
set_tests_properties(server/guard/guard_test PROPERTIES TIMEOUT 1200
  ENVIRONMENT "GUARD=$<TARGET_FILE:latticed-guard>;SIM_WORLD=$<TARGET_FILE:sim-world>")
target_link_libraries(server.guard.control_test PRIVATE latticed_conformance)
target_compile_definitions(server.guard.guard_config_test
  PRIVATE LATTICED_SHIPPED_GUARD_CONFIG="${PROJECT_SOURCE_DIR}/deploy/guard.toml")
latticed_add_test(server/holder/played_through_guard_test
  LINKS latticed::holder latticed::guard nlohmann_json::nlohmann_json)
target_compile_definitions(server.holder.played_through_guard_test
  PRIVATE LATTICED_SIM_WORLD="$<TARGET_FILE:sim-world>")
add_dependencies(server.holder.played_through_guard_test sim-world)
