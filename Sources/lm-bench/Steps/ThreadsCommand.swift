import ArgumentParser
import CommandSupport
import Deterministic
import Model
import Storage
import Tensor

/// What a step would gain from more threads than this machine has processors.
struct ThreadsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "threads",
    abstract: "Reckon what a training step would gain from many threads, on one.",
    discussion: """
      A step is cut as for so many threads, every piece of every loop is timed on
      one thread, and the pieces are dealt out as threads would take them. What is
      serial, uneven or too small to be cut shows on any machine; what only a real
      one shows does not: memory that all threads share, caches, the clock of a busy
      processor. So this is a bound from above.

      EXAMPLES

        lm-bench threads
        lm-bench threads --counts 1 16 64 --layers 4 --width 256 --heads 4 \\
          --hidden 704 --batch 16
        lm-bench threads --forward
      """)

  @Option(parsing: .upToNextOption, help: "Numbers of threads.") var counts = [
    1, 2, 4, 8, 16, 32, 64,
  ]
  @Option(help: ArgumentHelp("Microseconds until all threads know of a loop.", valueName: "us"))
  var wakeup = 5.0
  @Option(help: "Loops to name, those that lose most with the most threads first.") var loops = 12
  @OptionGroup var options: TrainCommand

  func validate() throws {
    guard !counts.isEmpty, counts.allSatisfy({ 1...1_024 ~= $0 }) else {
      throw ValidationError("--counts are \(counts), expected numbers from 1 to 1,024")
    }
    guard 0...10_000 ~= wakeup else {
      throw ValidationError("--wakeup is \(wakeup), expected 0 to 10,000 microseconds")
    }
    guard options.attention.count == 1 else {
      throw ValidationError("--attention has \(options.attention.count), expected one kind")
    }
    guard options.place.device == "cpu" else {
      throw ValidationError("--device is \(options.place.device); threads are the processor's")
    }
    guard options.timing.threads == nil, options.timing.clock == .wall else {
      throw ValidationError("--threads and --clock are for timing; give --counts")
    }
  }

  /// A step on one number of threads.
  private struct Row: Encodable {
    let threads: Int
    let milliseconds: Double
    let gain: Double
    /// Milliseconds outside all loops.
    let serialMilliseconds: Double
    /// Part of the threads' time in which they work.
    let busy: Double
    let loops: Int
    let pieces: Int
  }

  /// The loops of one place in the sources, on the most threads.
  private struct Place: Encodable {
    let place: String
    let loops: Int
    let pieces: Int
    let milliseconds: Double
    /// Milliseconds that it takes longer than its work shared out evenly.
    let lostMilliseconds: Double
  }

  /// What one thread does between the loops of two places.
  private struct Gap: Encodable {
    let after: String
    let before: String
    let times: Int
    let serialMilliseconds: Double
  }

  private struct Figures: Encodable {
    let attention: String
    let wakeupMicroseconds: Double
    let steps: [Row]
    let places: [Place]
    let gaps: [Gap]
  }

  func run() throws {
    let model = try TimedModel(
      options, attention: options.attention[0], on: options.place.kernels())
    for step in 1...2 { try model.runStep(step) }
    let record = { (threads: Int) in
      try LoopTrace.record(threads: threads, times: options.steps) { try model.runStep(3) }
    }
    let one = try record(1).seconds
    var rows: [Row] = []
    var most: (threads: Int, trace: LoopTrace)?
    for threads in counts.sorted() {
      let trace = try record(threads)
      if threads > most?.threads ?? 0 { most = (threads, trace) }
      let seconds = trace.seconds(threads: threads, wakeup: wakeup * 1e-6)
      rows.append(
        Row(
          threads: threads, milliseconds: seconds * 1e3, gain: one / seconds,
          serialMilliseconds: trace.serialSeconds * 1e3,
          busy: trace.seconds / (seconds * Double(threads)), loops: trace.loops.count,
          pieces: trace.loops.reduce(0) { $0 + $1.pieces.count }))
    }
    let places = most.map { self.places($0.trace, threads: $0.threads) } ?? []
    let gaps = most.map { self.gaps($0.trace) } ?? []
    let figures = Figures(
      attention: "\(options.attention[0])", wakeupMicroseconds: wakeup, steps: rows, places: places,
      gaps: gaps)
    if options.timing.json {
      print(String(decoding: try JSONFile.encode(figures), as: UTF8.self), terminator: "")
      return
    }
    print(
      Format.table(
        [["threads", "ms", "times one", "serial ms", "busy", "loops", "pieces"]]
          + rows.map {
            [
              "\($0.threads)", Format.decimal($0.milliseconds, 1), Format.decimal($0.gain, 2),
              Format.decimal($0.serialMilliseconds, 2), Format.decimal(100 * $0.busy, 0) + " %",
              Format.count($0.loops), Format.count($0.pieces),
            ]
          }))
    print(
      "\non \(Format.count(most?.threads ?? 1, "thread")), by what is lost beside even shares\n"
        + Format.table(
          [["loop", "times", "pieces", "ms", "lost ms"]]
            + places.prefix(loops).map {
              [
                $0.place, Format.count($0.loops), Format.count($0.pieces),
                Format.decimal($0.milliseconds, 2), Format.decimal($0.lostMilliseconds, 2),
              ]
            }))
    print(
      "\nbetween loops, on one thread\n"
        + Format.table(
          [["after", "before", "times", "serial ms"]]
            + gaps.prefix(loops).map {
              [
                $0.after, $0.before, Format.count($0.times),
                Format.decimal($0.serialMilliseconds, 2),
              ]
            }))
  }

  private func places(_ trace: LoopTrace, threads: Int) -> [Place] {
    Dictionary(grouping: trace.loops, by: \.place).map { place, loops in
      let work = loops.reduce(0) { $0 + $1.pieces.reduce(0, +) }
      let seconds = loops.reduce(0) { $0 + $1.seconds(threads: threads, wakeup: wakeup * 1e-6) }
      return Place(
        place: place, loops: loops.count, pieces: loops.reduce(0) { $0 + $1.pieces.count },
        milliseconds: seconds * 1e3, lostMilliseconds: (seconds - work / Double(threads)) * 1e3)
    }.sorted { ($0.lostMilliseconds, $0.place) > ($1.lostMilliseconds, $1.place) }
  }

  private func gaps(_ trace: LoopTrace) -> [Gap] {
    let places = ["the start"] + trace.loops.map(\.place) + ["the end"]
    let seconds = trace.loops.map(\.serialBefore) + [trace.serialAfter]
    return Dictionary(grouping: seconds.indices) { [places[$0], places[$0 + 1]] }.map { ends, all in
      Gap(
        after: ends[0], before: ends[1], times: all.count,
        serialMilliseconds: all.reduce(0) { $0 + seconds[$1] } * 1e3)
    }.sorted { ($0.serialMilliseconds, $0.after) > ($1.serialMilliseconds, $1.after) }
  }
}
