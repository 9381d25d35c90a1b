# Recordings: what is written, and what other programs make of it.
foreach(name crc32c compound disk_room disk_sync hdf5_file holder_logs_writer holder_states image_packer record_sink recording run_events
             tables writer_lock)
  latticed_add_test(server/record/${name}_test LINKS latticed::record nlohmann_json::nlohmann_json)
endforeach()

add_executable(record_movie ${PROJECT_SOURCE_DIR}/tests/server/record/record_movie.cpp)
target_link_libraries(record_movie PRIVATE latticed_flags latticed::record)
add_test(NAME server/record/recording_readers_test
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/server/record/recording_readers_test.py $<TARGET_FILE:record_movie>)
set_tests_properties(server/record/recording_readers_test PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)


# Run by hand: what recording costs.
latticed_add_program(record_bench
  SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/record_bench.cpp LINKS latticed::record fmt::fmt)
