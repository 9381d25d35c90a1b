# Movie files and replay: against files of our own writers, of other programs, and real ones.
foreach(name mrc_reader tiff_reader tiff_description units samples)
  latticed_add_test(drivers/files/${name}_test LINKS latticed::files)
endforeach()
foreach(name hdf5_reader damaged_files)
  latticed_add_test(drivers/files/${name}_test LINKS latticed::files hdf5::hdf5)
endforeach()
