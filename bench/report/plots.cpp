// The plots of a report, by gnuplot: a data file and a script for each, which stay beside them.

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <utility>

#include "report/report.h"

namespace cairn::bench {
namespace {

namespace fs = std::filesystem;

/// A plot's name as that of a file.
std::string file_name(std::string_view plot) {
  std::string name;
  for (const char c : plot) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_';
    name += plain ? c : '_';
  }
  return name;
}

/// In gnuplot's single quotes, of text that is to be shown as it is.
std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

/// Its exit status and what it said.
std::pair<int, std::string> run_shell(const std::string& command) {
  const auto close = [](std::FILE* pipe) { ::pclose(pipe); };
  std::unique_ptr<std::FILE, decltype(close)> pipe(::popen(command.c_str(), "r"), close);
  if (!pipe) throw std::runtime_error("cannot run: " + command);
  std::string text;
  char block[4096];
  while (const std::size_t count = std::fread(block, 1, sizeof(block), pipe.get())) {
    text.append(block, count);
  }
  const int status = ::pclose(pipe.release());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}

bool gnuplot_is_there() {
  return run_shell("command -v gnuplot").first == 0;
}

/// `drawing` is what comes after the terminal and the output are set; it reads NAME.dat.
void draw(const fs::path& directory, const std::string& name, const std::string& data,
          const std::string& drawing, int width, int height) {
  write_file(directory / (name + ".dat"), data);
  std::string script;
  // Text is shown as it is: in enhanced text an underscore lowers what follows.
  for (const auto& [terminal, suffix] :
       {std::pair("pngcairo noenhanced font 'sans,11'", "png"),
        std::pair("svg noenhanced background 'white' font 'sans,13'", "svg")}) {
    script += fmt::format("reset\nset terminal {} size {},{}\nset output '{}.{}'\n", terminal,
                          width, height, name, suffix);
    script += drawing + "unset output\n";
  }
  write_file(directory / (name + ".gp"), script);
  std::string place = directory.string();
  for (std::size_t at = 0; (at = place.find('\'', at)) != std::string::npos; at += 4) {
    place.replace(at, 1, "'\\''");
  }
  const auto [status, said] = run_shell(fmt::format("cd '{}' && gnuplot {}.gp 2>&1", place, name));
  if (status != 0) throw std::runtime_error("gnuplot failed on " + name + ".gp: " + said);
}

/// Whether an axis is better logarithmic: it spans more than a decade.
bool wants_log(double min, double max) {
  return min > 0 && max > 10 * min;
}

constexpr double kMostTimes = 8;  ///< better or worse than this is drawn as this

/// How many times as good as the limit; what should be small and is 0 or less is as good as can be.
double times(double figure, double limit, Good good) {
  const double all = good == Good::at_least ? figure / limit
                     : figure > 0           ? limit / figure
                                            : kMostTimes;
  return std::clamp(all, 1 / kMostTimes, kMostTimes);
}

int color_of(std::string_view mark) {
  return mark == "goal" ? 0x2a9d4a : mark == "above floor" ? 0xe9a820 : 0xc8322b;
}

}  // namespace

void Report::write_plots(const fs::path& directory) {
  if (!gnuplot_is_there()) {
    return leave_out("plots", "there is no gnuplot; tools/setup installs it (gnuplot-nox)");
  }
  std::vector<std::string> plots;
  for (const Point& point : points_) {
    if (std::ranges::find(plots, point.plot) == plots.end()) plots.push_back(point.plot);
  }
  try {
    fs::create_directories(directory);
    for (const std::string& plot : plots) write_plot(directory, plot);
    write_goals_plot(directory);
  } catch (const std::exception& error) {
    leave_out("plots", error.what());
  }
}

void Report::write_plot(const fs::path& directory, const std::string& plot) {
  std::vector<std::string> series;
  std::vector<double> xs;
  std::vector<double> ys;
  for (const Point& point : points_) {
    if (point.plot != plot) continue;
    if (std::ranges::find(series, point.series) == series.end()) series.push_back(point.series);
    xs.push_back(point.x);
    ys.push_back(point.y);
  }
  std::vector<Point> sorted = points_;
  std::ranges::stable_sort(sorted, {}, &Point::x);
  std::string data = "# x y; a block for each series\n";
  std::string curves;
  for (std::size_t i = 0; i < series.size(); ++i) {
    // gnuplot counts the blocks between two empty lines.
    data += fmt::format("{}# {}\n", i == 0 ? "" : "\n\n", in_quotes(series[i]));
    for (const Point& point : sorted) {
      if (point.plot != plot || point.series != series[i]) continue;
      data += fmt::format("{:.9g} {:.9g}\n", point.x, point.y);
    }
    curves += fmt::format("{}'{}.dat' index {} with linespoints pointtype 7 linewidth 2 title {}",
                          i == 0 ? "plot " : ", \\\n  ", file_name(plot), i, in_quotes(series[i]));
  }
  const auto [x_min, x_max] = std::ranges::minmax(xs);
  const auto [y_min, y_max] = std::ranges::minmax(ys);
  std::string drawing =
      fmt::format("set title {}\nset grid\nset key outside right top\n", in_quotes(plot));
  const auto axes = std::ranges::find(axes_, plot, &Axes::plot);
  if (axes != axes_.end()) {
    drawing +=
        fmt::format("set xlabel {}\nset ylabel {}\n", in_quotes(axes->x), in_quotes(axes->y));
  }
  const bool log_x = wants_log(x_min, x_max);
  const bool log_y = log_x && wants_log(y_min, y_max);
  if (log_x) drawing += "set logscale x\n";
  if (log_y) drawing += "set logscale y\n";
  // Where 0 is below all, the figures are seen in proportion to it.
  if (!log_y && y_min >= 0 && y_max > 0) drawing += "set yrange [0:*]\n";
  draw(directory, file_name(plot), data, drawing + curves + "\n", 900, 560);
}

void Report::write_goals_plot(const fs::path& directory) {
  std::string data = "# place, times the goal, floor / goal, color, name\n";
  int place = 0;
  for (const Goal& goal : goals()) {
    const Row* row = find_row(goal.name);
    if (row == nullptr) continue;
    const double figure = judged_figure(*row, goal).value();
    data += fmt::format(
        "{} {:.4g} {:.4g} {} \"{}\"\n", place++, times(figure, goal.goal, goal.good),
        times(goal.floor, goal.goal, goal.good), color_of(mark_of(figure, goal)), goal.name);
  }
  if (place == 0) return leave_out("plot of the goals", "no row of the design was measured");
  const std::string drawing = fmt::format(
      "set title 'times as good as the goal (line), and the worst that is acceptable (mark)'\n"
      "set logscale x 2\nset xrange [1./{0}:{0}]\nset yrange [{1}.6:-0.6]\nset grid x\n"
      "set style fill solid\nset rmargin 4\nset arrow from 1, graph 0 to 1, graph 1 nohead "
      "linewidth 2 front\n"
      "plot 'goals.dat' using (1):1:(1):2:($1-0.35):($1+0.35):4:ytic(5) with boxxyerror "
      "linecolor rgb variable notitle, \\\n"
      "  '' using 3:($1-0.45):(0):(0.9) with vectors nohead linewidth 3 linecolor rgb 'black' "
      "notitle\n",
      kMostTimes, place - 1);
  draw(directory, "goals", data, drawing, 900, 120 + 24 * place);
}

}  // namespace cairn::bench
