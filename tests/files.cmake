# Movie files and replay: against files of our own writers, of other programs, and real ones.
foreach(name mrc_reader tiff_reader tiff_description units samples)
  latticed_add_test(drivers/files/${name}_test LINKS latticed::files)
endforeach()
foreach(name hdf5_filters hdf5_reader damaged_files)
  latticed_add_test(drivers/files/${name}_test LINKS latticed::files hdf5::hdf5)
endforeach()
latticed_add_test(drivers/files/real_files_test LINKS latticed::files)
target_compile_definitions(drivers.files.real_files_test PRIVATE LATTICED_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
latticed_add_test(drivers/replay/replay_detector_test LINKS latticed::replay)

# Debian's interpreter and modules by full path: another python3 may come first in PATH.
add_executable(movie_dump ${PROJECT_SOURCE_DIR}/tests/drivers/files/movie_dump.cpp)
target_link_libraries(movie_dump PRIVATE latticed_flags latticed::files GTest::gtest nlohmann_json::nlohmann_json)
add_test(NAME drivers/files/other_writers_test
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tests/drivers/files/other_writers_test.py $<TARGET_FILE:movie_dump>)
set_tests_properties(drivers/files/other_writers_test PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)

foreach(name ticks line_plot image_figure page)
  latticed_add_test(server/figure/${name}_test LINKS latticed::figure)
endforeach()
