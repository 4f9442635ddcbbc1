// The `cairn` command: its command line, and what becomes of exceptions.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/version.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <iostream>

#include "common.h"
#include "table.h"

namespace cairn::cli {
namespace {

constexpr const char* kFooter =
    "Exit status: 0 good, 1 damage or a problem found, 2 could not run, or not check all.\n"
    "With --json, stdout is one JSON document; what failed is {\"error\":{\"code\",\"message\"}};\n"
    "NaN and infinities are strings.\n"
    "`cairn COMMAND --help` names the members of each document.";

/// What the command line asks for.
struct Chosen {
  std::string name;
  std::function<int()> run;
};

class CommandLine {
 public:
  CommandLine() {
    app_.set_version_flag("--version", fmt::format("cairn {}", version()));
    app_.require_subcommand(1);
    app_.footer(kFooter);
    add_ls();
    add_inspect();
    add_verify();
    add_import();
    add_export();
    add_doctor();
  }
  CLI::App& app() { return app_; }
  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] const Chosen& chosen() const { return chosen_; }

 private:
  template <class Options>
  CLI::App& add(const std::string& name, const std::string& about, const std::string& json,
                int (*run)(const Settings&, const Options&), const Options& options) {
    CLI::App* command = app_.add_subcommand(name, about);
    command->add_flag("--json", settings_.json, "Print one JSON document, for programs");
    const auto set_backend = [this](const std::string& kind) {
      settings_.backend =
          kind == "uring" ? engine::BackendKind::uring : engine::BackendKind::threads;
    };
    command->add_option_function<std::string>("--backend", set_backend, "How to do I/O")
        ->check(CLI::IsMember({"uring", "threads"}))
        ->type_name("");
    command->footer("JSON: " + json);
    command->callback([this, name, run, &options] {
      chosen_ = {name, [this, run, &options] { return run(settings_, options); }};
    });
    return *command;
  }

  static void add_root(CLI::App& command, std::string& root) {
    command.add_option("ROOT", root, "Directory with a folder for each step")->required();
  }
  static void add_path(CLI::App& command, std::string& path) {
    command
        .add_option("PATH", path,
                    "A manager's root, one step, or one item, ours or Orbax's; or safetensors: a "
                    "file, an index, or a directory with one")
        ->required();
  }
  static void add_follow_links(CLI::App& command, bool& follow) {
    command.add_flag("--follow-links", follow,
                     "Follow links from an index's directory to files elsewhere");
  }
  /// CLI11 would read 010 as octal and take what is too large for the largest there is.
  template <class T>
  static CLI::Option* add_step(CLI::App& command, T& step, const std::string& about) {
    const auto parse = [&step](const std::string& text) {
      const std::optional<Step> number = orbax::step_from_name(text);
      if (!number) {
        throw CLI::ValidationError("--step", "'" + text +
                                                 "' is not a step's number: decimal digits without "
                                                 "leading zeros, at most 9223372036854775807");
      }
      step = *number;
    };
    return command.add_option_function<std::string>("--step", parse, about)->type_name("N");
  }

  /// An option in the library's own words.
  template <class T>
  static void add_parsed(CLI::App& command, const std::string& name, T& value,
                         T (*parse)(std::string_view), const std::string& about) {
    const auto take = [name, &value, parse](const std::string& text) {
      try {
        value = parse(text);
      } catch (const Error& error) {
        throw CLI::ValidationError(name, std::string(error.reason()));
      }
    };
    command.add_option_function<std::string>(name, take, about)->type_name("");
  }

  void add_ls() {
    auto& command =
        add("ls", "List the steps of a root",
            "{root, steps: [{step, path, commit_timestamp_ns, bytes, stored_bytes, "
            "items: [name], metrics} or {step, path, error}], incomplete: [{name, path, step, "
            "kind: save or deletion, modified_ns, age_s, writer}]}",
            run_ls, ls_);
    add_root(command, ls_.root);
  }
  void add_inspect() {
    auto& command = add(
        "inspect", "Show what a step, an item or safetensors hold: items, leaves, files, metadata",
        "{taken_for, step, path, init_timestamp_ns, commit_timestamp_ns, bytes, stored_bytes, "
        "metrics, custom_metadata, items: [{name, kind, layout, handler, writer_version, codecs: "
        "[{codec, reason, arrays, bytes, stored_bytes, ratio, expected_ratio, chunks, "
        "chunks_stored}], leaves: [{key_path, kind, dtype, shape, chunk_shape, zarr_format, "
        "codecs, chunks, bytes, stored_bytes, values}], files: [{path, bytes, links}], "
        "shared_bytes, own_bytes}]}; codecs are empty where Cairn did not write the item; a leaf "
        "without elements has key_path and kind alone, one of safetensors no chunks; values, with "
        "--values: {count, nan, infinite, min, max, mean}",
        run_inspect, inspect_);
    add_path(command, inspect_.path);
    add_step(command, inspect_.step, "Number of a step of a root (default: the latest)");
    command.add_flag("--values", inspect_.values,
                     "Read the arrays, and show extremes, mean and NaN count of each");
    command.add_option("--leaf", inspect_.leaves, "Only this leaf, or what is below: a/b[3]")
        ->type_name("KEY_PATH")
        ->needs("--values");
    add_follow_links(command, inspect_.follow_links);
  }
  void add_verify() {
    auto& command = add(
        "verify",
        "Read everything and check every checksum; of safetensors, which has none, the structure",
        "{path, taken_for, ok, steps: [{step, path, ok, arrays, chunks, bytes, structure_only, "
        "unchecked_items, damages: [{item, file, offset, key_path, message}], unchecked: "
        "[the same, of what could not be checked]} or {step, path, ok, error}], deleted: [steps "
        "that were deleted meanwhile]}; an item, or safetensors, counts as one step without a "
        "number",
        run_verify, verify_);
    add_path(command, verify_.path);
    add_step(command, verify_.step, "Number of a step of a root (default: all)");
    add_follow_links(command, verify_.follow_links);
  }
  void add_import() {
    auto& command = add("import", "Make a step of a safetensors file, or of several",
                        "{file, files: [path], root, step, tensors, bytes, stored_bytes, codecs: "
                        "[{codec, reason, arrays, bytes, stored_bytes, ratio, expected_ratio, "
                        "chunks, chunks_stored}], seconds, warning}",
                        run_import, import_);
    command
        .add_option(
            "FILE", import_.file,
            "A safetensors file, an index (.safetensors.index.json) or a directory with one")
        ->required();
    add_root(command, import_.root);
    add_step(command, import_.step, "Number of the step to make")->required();
    command.add_flag("--overwrite", import_.overwrite, "Replace the step if it is there");
    add_follow_links(command, import_.follow_links);
    add_parsed(command, "--codec", import_.codec, &Codec::parse,
               "How to store the arrays: raw (the default), auto, blosc[:0-9], zstd[:1-22], "
               "gzip[:0-9]");
    add_parsed(command, "--layout", import_.layout, &parse_layout,
               "ocdbt_zarr3 (the default), ocdbt_zarr2, zarr3, zarr2");
  }
  void add_export() {
    auto& command =
        add("export",
            "Write a tree of a step as a safetensors file. Nested keys are joined by "
            "dots, numbers become tensors of rank 0.",
            "{root, step, item, file, files: [path], tensors, bytes}", run_export, export_);
    add_root(command, export_.root);
    command.add_option("OUT", export_.file, "The safetensors file to write")->required();
    add_step(command, export_.step, "Number of a step (default: the latest)");
    command.add_option("--item", export_.item, "Which tree (default: the only one)")
        ->type_name("NAME");
    command.add_flag("--force", export_.force, "Replace OUT if it is there");
    command.add_flag("--drop-empty", export_.drop_empty,
                     "Leave out nulls and empty containers, which safetensors cannot hold");
    command
        .add_option("--max-shard-size", export_.max_shard_bytes,
                    "Bytes of one file at most (500MB, 5GB, 4GiB); more go into OUT-00001-of-00002 "
                    "and so on, with an index")
        ->transform(CLI::AsSizeValue(true))
        ->type_name("SIZE");
    command
        .add_option("--alignment", export_.alignment,
                    "Where the data begins, a power of two (default: 4096, or 64 below 1 MiB)")
        ->type_name("BYTES");
  }
  void add_doctor() {
    auto& command =
        add("doctor", "Look at this machine and a directory: I/O, limits, remedies",
            "{directory, backend: {name, reason, ring_flags, registered_buffers, registered_bytes, "
            "registered_reason, queue_depth}, "
            "direct_io: {works, alignment, error}, writable, exchange, file_system, free_bytes, "
            "total_bytes, memlock_bytes (null: unlimited), cpu_threads, staging_bytes, "
            "io_window_bytes, findings: [{level, subject, message, remedy}]}",
            run_doctor, doctor_);
    command.add_option("DIR", doctor_.directory, "Directory to try (default: this one)");
  }

  CLI::App app_{"Cairn: asynchronous checkpoints, compatible with Orbax and TensorStore", "cairn"};
  Settings settings_;
  Chosen chosen_;
  LsOptions ls_;
  InspectOptions inspect_;
  VerifyOptions verify_;
  ImportOptions import_;
  ExportOptions export_;
  DoctorOptions doctor_;
};

int fail(const Settings& settings, const std::string& command, std::string_view code,
         const std::string& message, int status) {
  if (settings.json) print_json(error_json(code, message));
  fmt::print(stderr, "cairn {}: {}\n", command, printable(message));
  return status;
}

int run(const CommandLine& line) {
  const std::string& name = line.chosen().name;
  try {
    return line.chosen().run();
  } catch (const Error& error) {
    return fail(line.settings(), name, to_string(error.code()), error.what(),
                exit_status(error.code()));
  } catch (const std::bad_alloc&) {
    return fail(line.settings(), name, to_string(ErrorCode::resource_exhausted), "out of memory",
                kCouldNotRun);
  } catch (const std::exception& error) {
    return fail(line.settings(), name, to_string(ErrorCode::internal), error.what(), kCouldNotRun);
  }
}

}  // namespace
}  // namespace cairn::cli

namespace {

int parse_and_run(cairn::cli::CommandLine& line, int argc, char** argv) {
  using namespace cairn::cli;  // NOLINT(google-build-using-namespace)
  try {
    line.app().parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are "errors" of status 0.
    return line.app().exit(error) == 0 ? kGood : kCouldNotRun;
  }
  return run(line);
}

}  // namespace

int main(int argc, char** argv) {
  cairn::cli::CommandLine line;
  const int status = parse_and_run(line, argc, argv);
  std::cout.flush();  // CLI11 prints there
  // A full disk or a closed pipe: what was printed did not arrive.
  if (!std::cout || std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::fputs("cairn: cannot write to standard output\n", stderr);
    return cairn::cli::kCouldNotRun;
  }
  return status;
}
