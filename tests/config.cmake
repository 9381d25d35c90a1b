# TOML, configuration, logging and the commands of `latticed`, which run as processes.
latticed_add_test(drivers/toml/table_reader_test LINKS latticed::toml)
