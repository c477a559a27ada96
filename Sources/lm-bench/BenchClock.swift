import ArgumentParser
import CommandSupport
import Deterministic
import Machine
import Roofline
import Tensor

#if canImport(Glibc)
  import Glibc
#endif

/// What a second is: a second on the wall, or one in which all threads computed.
///
/// On a machine that others use, wall time measures the others too. Processor time, divided by the
/// number of threads, is the wall time of an idle machine as long as the threads share the work
/// evenly; compare with peers at one thread, because idle OpenMP threads spin and count.
enum BenchClock: String, CaseIterable, ExpressibleByArgument, Encodable {
  case wall
  case processor

  /// Seconds since some moment.
  func now() -> Double {
    switch self {
    case .wall: return WallClock.seconds()
    case .processor:
      var time = timespec()
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
      return (Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9) / Double(Parallel.threads)
    }
  }
}

/// Options that every timing command shares.
struct TimingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "wall, or processor: time of all threads over their number, for a busy machine.",
      valueName: "clock"))
  var clock = BenchClock.wall
  @Option(help: "Threads (all processors that this process may use).") var threads: Int?
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    try ThreadCount.validate(threads)
  }

  /// Sets the number of threads.
  func apply() {
    Parallel.threads = ThreadCount.resolve(threads, command: "lm-bench")
  }
}

/// Middle of the values in order; the upper one of two.
func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
