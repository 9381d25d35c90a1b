# Recordings: what is written, and what other programs make of it.
foreach(name clock_watch completion compound crc32c disk_room disk_sync file_names hdf5_file holder_logs_writer
             holder_states image_check image_packer page_log record_sink recording recording_reader repack
             run_events tables verify writer_lock)
  latticed_add_test(server/record/${name}_test LINKS latticed::record nlohmann_json::nlohmann_json)
endforeach()

foreach(name record_movie record_stream)
  add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/server/record/${name}.cpp)
  target_link_libraries(${name} PRIVATE latticed_flags latticed::record)
endforeach()
add_test(NAME server/record/recording_readers_test
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/server/record/recording_readers_test.py $<TARGET_FILE:record_movie>)
set(kills 200)
if(LATTICED_SANITIZE)
  set(kills 10)
endif()
add_test(NAME server/record/killed_writers_test
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/server/record/killed_writers_test.py
          $<TARGET_FILE:record_stream> $<TARGET_FILE:record_movie> ${kills})
set_tests_properties(server/record/recording_readers_test server/record/killed_writers_test
  PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)

# Run by hand: what recording costs.
latticed_add_program(record_bench
  SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/record_bench.cpp LINKS latticed::record fmt::fmt)

# The recorder's own writes, written down.
latticed_add_test(server/record/power_cut_test LINKS latticed::record)
target_link_options(server.record.power_cut_test PRIVATE -Wl,--wrap=pwrite)
# Disks that fail.
target_link_options(server.record.record_sink_test PRIVATE -Wl,--wrap=pwrite)
