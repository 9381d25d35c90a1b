# Recordings: what is written, and what other programs make of it.
foreach(name crc32c)
  latticed_add_test(server/record/${name}_test LINKS latticed::record)
endforeach()

add_executable(record_movie ${PROJECT_SOURCE_DIR}/tests/server/record/record_movie.cpp)
target_link_libraries(record_movie PRIVATE latticed_flags latticed::record)
add_test(NAME server/record/recording_readers_test
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/server/record/recording_readers_test.py $<TARGET_FILE:record_movie>)
set_tests_properties(server/record/recording_readers_test PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)

