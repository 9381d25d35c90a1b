# Movie files and replay: against files of our own writers, of other programs, and real ones.
foreach(name mrc_reader tiff_reader tiff_description units samples)
  latticed_add_test(drivers/files/${name}_test LINKS latticed::files)
endforeach()
