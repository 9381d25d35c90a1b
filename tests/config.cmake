# TOML, configuration, logging and the commands of `latticed`, which run as processes.
latticed_add_test(drivers/toml/table_reader_test LINKS latticed::toml)
foreach(name read_config short_texts write_config)
  latticed_add_test(server/config/${name}_test LINKS latticed::config)
endforeach()
target_compile_definitions(server.config.write_config_test
  PRIVATE LATTICED_SHIPPED_CONFIG="${PROJECT_SOURCE_DIR}/deploy/latticed.toml")
latticed_add_test(server/base/log_test LINKS latticed::base spdlog::spdlog nlohmann_json::nlohmann_json)
latticed_add_test(server/base/screen_test LINKS latticed::base)
latticed_add_test(server/publish/alert_log_sink_test LINKS latticed::publish)

foreach(name block_detector fresh_noise movie)
  latticed_add_test(server/app/${name}_test LINKS latticed::bench_frames)
endforeach()

# The commands as processes. Debian's interpreter by full path: another python3 may come first in PATH.
foreach(name analyze acquire bench check_config)
  add_test(NAME server/app/${name}_test
    COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/server/app/${name}_test.py)
  set_tests_properties(server/app/${name}_test PROPERTIES TIMEOUT 1200
    ENVIRONMENT "LATTICED=$<TARGET_FILE:latticed>;SIM_WORLD=$<TARGET_FILE:sim-world>;LATTICED_SANITIZED=${LATTICED_SANITIZE}")
endforeach()

# GCC 12 sees std::regex's own temporaries as uninitialised under sanitizers (GCC bug 105562).
set_source_files_properties(${PROJECT_SOURCE_DIR}/tests/server/base/log_test.cpp
  PROPERTIES COMPILE_OPTIONS $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
