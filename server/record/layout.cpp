// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/layout.hpp"

#include <fmt/format.h>

#include <vector>

#include "drivers/files/hdf5_filters.hpp"
#include "server/record/paths.hpp"
#include "server/signal/bin_image.hpp"

namespace latticed::record {
namespace {

constexpr std::size_t kTimeRoom = 40, kReasonRoom = 512, kProfileRoom = 16;
constexpr double kKilovolt = 1000.0;

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

class Layout {
 public:
  Layout(hid_t file, const RecordingFacts& facts)
      : file_(file),
        facts_(facts),
        start_(iso8601(facts.started_ns)),
        is_calibrated_(facts.run.pixel_size_nm > 0.0) {}

  Result<RecordingTables> make() {
    root();
    const Handle entry = author_.group(file_, "entry", "NXentry");
    about(entry);
    const Handle measurement = author_.group(entry, "measurement", "NXem_measurement");
    instrument(measurement);
    event(measurement);
    author_.soft_link(kStack, entry, "frames");
    processing(entry);
    tables_.events = EventTable::create(author_, entry);
    latticed(entry);
    hyperspy();
    if (auto ok = author_.result(); !ok) return ok.error();
    return std::move(tables_);
  }

 private:
  [[nodiscard]] const RunInfo& run() const { return facts_.run; }
  [[nodiscard]] const FrameGeometry& geometry() const { return run().configuration.geometry; }
  [[nodiscard]] std::string_view length_units() const { return is_calibrated_ ? "nm" : "px"; }
  [[nodiscard]] double pixel() const { return is_calibrated_ ? run().pixel_size_nm : 1.0; }

  void root() {
    author_.text(file_, "NX_class", "NXroot");
    author_.text(file_, "default", "entry");
    author_.text(file_, "creator", "latticed");
    author_.text(file_, "creator_version", LATTICED_VERSION);
    author_.text(file_, "latticed_layout", "1.0");
    author_.variable_text(file_, "file_format", "HyperSpy");
    author_.variable_text(file_, "file_format_version", "3.1");
  }

  void about(hid_t entry) {
    const SessionInfo& session = facts_.session;
    author_.text(entry, "default", "frames");
    author_.text_field(entry, "definition", "NXem");
    author_.text_field(entry, "title", facts_.name);
    author_.text_field(entry, "start_time", start_);
    author_.text_field(entry, "end_time", "", kTimeRoom);
    author_.text_field(entry, "experiment_identifier", facts_.name);
    author_.text_field(entry, "experiment_description", session.comment);
    sample(entry);
    const Handle user = author_.group(entry, "user1", "NXuser");
    author_.text_field(user, "name", session.operator_name);
    const Handle program = author_.group(entry, "program1", "NXprogram");
    author_.text_field(program, "program", "latticed");
    author_.text_field(program, "version", LATTICED_VERSION);
  }

  void sample(hid_t entry) {
    const SessionInfo& session = facts_.session;
    const Handle sample = author_.group(entry, "sample1", "NXsample");
    author_.boolean_field(sample, "is_simulation", facts_.is_simulation);
    author_.text_field(sample, "name", session.sample);
    author_.text_field(sample, "atom_types", joined(session.elements));
    // NXem requires the field; a date nobody gave is not made up.
    author_.text_field(sample, "preparation_date",
                       session.preparation_date.empty() ? "unknown" : session.preparation_date);
    author_.text_field(sample, "zone_axis", session.zone_axis);
    if (session.electrode_mass_kg)
      author_.number_field(sample, "mass", *session.electrode_mass_kg, "kg");
  }

  void instrument(hid_t measurement) {
    const DeviceInfo& device = run().detector;
    const Handle instrument = author_.group(measurement, "instrument", "NXem_instrument");
    author_.text_field(instrument, "type", "tem");
    if (facts_.session.high_tension_v) {
      const Handle column = author_.group(instrument, "ebeam_column", "NXebeam_column");
      const Handle source = author_.group(column, "electron_source", "NXsource");
      author_.number_field(source, "voltage", *facts_.session.high_tension_v / kKilovolt, "kV");
    }
    const Handle detector = author_.group(instrument, "detector1", "NXdetector");
    author_.text_field(detector, "local_name", device.name);
    const Handle fabrication = author_.group(detector, "fabrication", "NXfabrication");
    author_.text_field(fabrication, "model", device.model);
    author_.text_field(fabrication, "serial_number", device.serial);
    author_.text_field(detector, "driver", device.driver);
    author_.integer_field(detector, "bit_depth_readout", 8 * bytes_per_pixel(geometry().type));
    author_.text_field(detector, "pixel_type", to_string(geometry().type));
    if (is_calibrated_)
      author_.number_field(detector, "pixel_size_at_specimen", run().pixel_size_nm, "nm");
    if (is_calibrated_ && run().pixel_size_sigma_ratio > 0.0)
      author_.number_field(detector, "pixel_size_sigma_ratio", run().pixel_size_sigma_ratio, "");
    if (!run().pixel_size_source.empty())
      author_.text_field(detector, "pixel_size_source", run().pixel_size_source);
    if (run().configuration.scan_line_time_s > 0.0)
      author_.number_field(detector, "scan_line_time", run().configuration.scan_line_time_s, "s");
    author_.number_field(detector, "frame_time", run().frame_period_s, "s");
    author_.boolean_field(detector, "frame_time_is_assumed", run().is_frame_period_assumed);
    if (run().configuration.exposure_s > 0.0)
      author_.number_field(detector, "count_time", run().configuration.exposure_s, "s");
    references(detector);
  }

  // The images are raw: what they were corrected with for measuring lies beside them.
  void references(hid_t detector) {
    if (!run().maps) return;
    const signal::CorrectionMaps& maps = *run().maps;
    const hsize_t shape[] = {static_cast<hsize_t>(geometry().height),
                             static_cast<hsize_t>(geometry().width)};
    if (!maps.dark.empty())
      author_.array(detector, "dark", H5T_NATIVE_FLOAT, shape, maps.dark.data());
    if (!maps.gain.empty())
      author_.array(detector, "gain", H5T_NATIVE_FLOAT, shape, maps.gain.data());
    const hsize_t count[] = {maps.hot_pixels.size()};
    if (!maps.hot_pixels.empty())
      author_.array(detector, "hot_pixels", H5T_NATIVE_UINT32, count, maps.hot_pixels.data());
  }

  void event(hid_t measurement) {
    const Handle event = author_.group(measurement, "event1", "NXem_event_data");
    author_.text_field(event, "start_time", start_);
    author_.text_field(event, "end_time", "", kTimeRoom);
    author_.text_field(event, "identifier_sample", "/entry/sample1");
    const Handle image = author_.group(event, "image1", "NXimage");
    const Handle stack = author_.group(image, "stack_2d", "NXdata");
    images(stack);
    const Handle info = author_.group(event, "frame_info", "NXcollection");
    tables_.frames = FrameTable::create(author_, info, stack, start_);
    tables_.lost = make_lost_table(author_, may_be_empty(event, "lost"));
    const Handle instrument = author_.group(event, "instrument", "NXem_instrument");
    tables_.holders =
        HolderLogsWriter::create(author_, instrument, facts_.holders, facts_.started_ns);
  }

  void images(hid_t stack) {
    constexpr std::string_view kAxes[] = {"indices_image", "axis_j", "axis_i"};
    author_.text(stack, "signal", "real");
    author_.texts(stack, "axes", kAxes);
    for (int i = 0; i < 3; ++i)
      author_.integer(stack, fmt::format("{}_indices", kAxes[i]).c_str(), i);
    author_.text(stack, "interpretation", "image");
    author_.text_field(stack, "title", facts_.name);
    const hsize_t width = static_cast<hsize_t>(geometry().width),
                  height = static_cast<hsize_t>(geometry().height);
    const hsize_t none[] = {0, height, width}, endless[] = {H5S_UNLIMITED, height, width},
                  chunk[] = {1, height, width};
    const Handle space(H5Screate_simple(3, none, endless)), type = image_type(geometry().type);
    const Handle creation(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_chunk(creation, 3, chunk);
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    if (facts_.profile == RecordingProfile::compact)
      set_compact_filter(creation, bytes_per_pixel(geometry().type), geometry().bytes());
    tables_.images =
        author_.noted(H5Dcreate2(stack, "real", type, space, H5P_DEFAULT, creation, H5P_DEFAULT),
                      "the dataset", "real");
    author_.text(tables_.images, "interpretation", "image");
    author_.text(tables_.images, "long_name", "detector counts, raw");
    author_.text(tables_.images, "units", "counts");
    author_.text(tables_.images, "compression",
                 facts_.profile == RecordingProfile::compact ? kCompactWords : "none");
    image_axis(stack, "axis_j", geometry().height);
    image_axis(stack, "axis_i", geometry().width);
  }

  void image_axis(hid_t stack, const char* name, int pixels) {
    std::vector<double> values(static_cast<std::size_t>(pixels));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = pixel() * static_cast<double>(i);
    const Handle axis = author_.axis(stack, name, values);
    author_.text(axis, "units", length_units());
    author_.text(axis, "long_name",
                 std::string_view(name) == "axis_j" ? "y, downwards" : "x, to the right");
  }

  Handle process(hid_t processing, const char* name, int order) {
    Handle program = author_.group(processing, name, "NXprocess");
    author_.text_field(program, "program", "latticed");
    author_.text_field(program, "version", LATTICED_VERSION);
    author_.integer_field(program, "sequence_index", static_cast<std::uint64_t>(order));
    return program;
  }

  // For tables that may stay without a row: HyperSpy 1.7 opens no file with an empty dataset in its
  // metadata, but leaves what is in NXdata alone.
  Handle may_be_empty(hid_t in, const char* name) { return author_.group(in, name, "NXdata"); }

  void processing(hid_t entry) {
    const Handle all = author_.group(entry, "processing", "NXcollection");
    const Handle fft = process(all, "fft", 1);
    const signal::AnalysisGrid& grid = run().grid;
    author_.integer_field(fft, "bin", static_cast<std::uint64_t>(grid.bin));
    author_.integer_field(fft, "region_x", static_cast<std::uint64_t>(grid.x0));
    author_.integer_field(fft, "region_y", static_cast<std::uint64_t>(grid.y0));
    author_.integer_field(fft, "width", static_cast<std::uint64_t>(grid.width));
    author_.integer_field(fft, "height", static_cast<std::uint64_t>(grid.height));
    author_.number_field(fft, "band", grid.band, "");
    const Handle drift = process(all, "drift", 2);
    author_.text_field(drift, "results", fmt::format("{}/frame_info", kEvent));
    const Handle lattice = process(all, "lattice", 3);
    const Handle found = may_be_empty(lattice, "found");
    tables_.spots = make_spot_table(author_, found,
                                    "one row per reflection and frame; seq is frame_info/frame_id");
    tables_.lattices = make_lattice_table(
        author_, found, "one row per lattice and frame, from that frame's spots alone");
    tables_.superlattice = make_superlattice_table(author_, found);
    const Handle sum = process(all, "running_sum", 4);
    const Handle sums = may_be_empty(sum, "found");
    tables_.sums = make_sum_table(author_, sums);
    tables_.sum_spots = make_spot_table(
        author_, sums, "one row per reflection and running sum; seq is that of sums");
    tables_.sum_lattices = make_lattice_table(
        author_, sums, "the main lattice of each running sum; seq is that of sums");
  }

  void latticed(hid_t entry) {
    const Handle own = author_.group(entry, "latticed", "NXcollection");
    author_.text_field(own, "config", facts_.config_toml);
    author_.text_field(own, "version", LATTICED_VERSION);
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    author_.text_field(own, "hdf5_version", fmt::format("{}.{}.{}", major, minor, release));
    author_.integer_field(own, "epoch", run().epoch);
    author_.integer_field(own, "first_seq", run().first_seq);
    author_.text_field(own, "profile", to_string(facts_.profile), kProfileRoom);
    author_.text_field(own, "continues", facts_.continues);
    author_.text_field(own, "ended_by", "", kReasonRoom);
    author_.boolean_field(own, "recovered", false);
    for (const char* total : {"images", "damaged", "lost", "events", "events_missed",
                              "holder_samples", "holder_samples_missed"})
      author_.integer_field(own, total, 0);
  }

  void hyperspy() {
    const Handle experiments = author_.group(file_, "Experiments", {});
    const Handle frames = author_.group(experiments, "frames", {});
    // Whose signal class these are: a plain Signal2D.
    author_.variable_text(frames, "package", "hyperspy");
    author_.variable_text(frames, "package_version", "1.7.3");
    author_.hard_link(file_, fmt::format("{}/real", kStack).c_str(), frames, "data");
    hyperspy_axis(frames, {"axis-0", "time", "s", run().frame_period_s, 0});
    hyperspy_axis(frames, {"axis-1", "y", length_units().data(), pixel(), geometry().height});
    hyperspy_axis(frames, {"axis-2", "x", length_units().data(), pixel(), geometry().width});
    const Handle metadata = author_.group(frames, "metadata", {});
    const Handle general = author_.group(metadata, "General", {});
    author_.variable_text(general, "title", facts_.name);
    const Handle signal = author_.group(metadata, "Signal", {});
    author_.variable_text(signal, "signal_type", "");
    author_.variable_text(signal, "record_by", "image");
    author_.variable_text(signal, "quantity", "counts");
    author_.group(frames, "original_metadata", {});
    author_.group(frames, "learning_results", {});
  }

  struct Axis {
    const char* group;
    const char* name;
    const char* units;
    double scale;
    int size;
  };
  void hyperspy_axis(hid_t frames, const Axis& axis) {
    const bool is_time = std::string_view(axis.group) == "axis-0";
    const Handle group = author_.group(frames, axis.group, {});
    author_.variable_text(group, "_type", "UniformDataAxis");
    author_.variable_text(group, "name", axis.name);
    author_.variable_text(group, "units", axis.units);
    author_.number(group, "scale", axis.scale);
    author_.number(group, "offset", 0.0);
    author_.integer(group, "size", axis.size);
    author_.boolean(group, "navigate", is_time);
    author_.boolean(group, "is_binned", false);
  }

  hid_t file_;
  const RecordingFacts& facts_;
  const std::string start_;
  const bool is_calibrated_;
  Hdf5Author author_;
  RecordingTables tables_;
};

}  // namespace

Handle image_type(PixelType type) {
  switch (type) {
    case PixelType::u8:
      return Handle(H5Tcopy(H5T_STD_U8LE));
    case PixelType::i8:
      return Handle(H5Tcopy(H5T_STD_I8LE));
    case PixelType::u16:
      return Handle(H5Tcopy(H5T_STD_U16LE));
    case PixelType::i16:
      return Handle(H5Tcopy(H5T_STD_I16LE));
    case PixelType::u32:
      return Handle(H5Tcopy(H5T_STD_U32LE));
    case PixelType::i32:
      return Handle(H5Tcopy(H5T_STD_I32LE));
    case PixelType::f32:
      break;
  }
  return Handle(H5Tcopy(H5T_IEEE_F32LE));
}

void set_compact_filter(hid_t creation, std::size_t pixel_bytes, std::size_t image_bytes) {
  // What Blosc's filter writes there itself: its revision, the format's version, bytes of a pixel
  // and of a chunk, level, bitshuffle, LZ4. Optional: the file can be made without it.
  const unsigned values[] = {
      2, 2, static_cast<unsigned>(pixel_bytes), static_cast<unsigned>(image_bytes), 5, 2, 1};
  H5Pset_filter(creation, files::kBloscFilter, H5Z_FLAG_OPTIONAL, std::size(values), values);
}

Result<RecordingTables> make_layout(hid_t file, const RecordingFacts& facts) {
  const QuietHdf5 quiet;
  return Layout(file, facts).make();
}

}  // namespace latticed::record
