import Foundation
package import Storage

/// The scalars of a run as TensorBoard reads them, appended as the run goes.
///
/// A file of records, each with its length and two checksums, that hold `Event` messages
/// (`tensorflow/core/util/event.proto`); both are written by hand, as they are a few lines.
///
/// A run that is taken up cuts the file off behind the last event of its checkpoint and writes the
/// events after that once more. They have the same lengths as before unless a figure of speed was
/// left out of one, for the steps are the same, so a TensorBoard that is looking on finds the next
/// record where it expects it.
package final class EventLog {
  package static let name = "events.out.tfevents.lm-train"
  private let file: FileAppender

  /// Opens the log of a run.
  ///
  /// - Parameters:
  ///   - step: Events of later steps are dropped: the run is about to take them again.
  ///   - metrics: What was logged up to that step: events behind a damaged one are written anew from
  ///     it, since nothing says where the next begins.
  ///   - damaged: Told of damage.
  package init(
    run: String, keepingUpTo step: Int, from metrics: [Metrics] = [],
    damaged: (String) -> Void = { _ in }
  ) throws(StorageError) {
    let path = run + "/" + Self.name
    let found = Files.exists(path) ? try Files.contents(of: path) : []
    let bytes = Self.withTagsOfToday(found)
    if bytes != found { try AtomicFile.write(bytes, to: path) }
    let kept = Self.length(of: bytes, keepingUpTo: step)
    let damage = Self.damage(of: bytes)
    if kept == 0 {
      // What is no event file at all is none of this run's.
      try AtomicFile.write(EventRecord.framed(EventRecord.version(wallTime: Self.now)), to: path)
    } else if kept < bytes.count {
      try Files.truncate(path, to: kept)
    }
    file = try FileAppender(path: path)
    guard let damage, damage.offset == kept else { return }
    damaged("\(path) is damaged: \(damage.problem); it is written anew from there")
    for line in metrics.dropFirst(Self.count(of: Array(bytes.prefix(kept)))) { try append(line) }
  }

  /// Appends the figures of one step.
  package func append(step: Int, _ values: [(tag: String, value: Double)]) throws(StorageError) {
    try file.append(
      EventRecord.framed(EventRecord.scalars(values, step: step, wallTime: Self.now)))
  }

  /// Appends a line of metrics.
  package func append(_ metrics: Metrics) throws(StorageError) {
    let figures: [(String, Double?)] = [
      ("nats_per_token", metrics.natsPerToken), ("word_perplexity", metrics.wordPerplexity),
      ("learning_rate", metrics.learningRate), ("gradient_norm", metrics.gradientNorm),
      ("tokens_per_second", metrics.tokensPerSecond), ("peak_fraction", metrics.peakFraction),
      ("skipped_steps", metrics.skippedSteps.map { Double($0) }),
      ("trained_seconds", metrics.trainedSeconds), ("tokens", Double(metrics.tokens)),
    ]
    try append(
      step: metrics.step,
      figures.compactMap { name, value in value.map { ("\(metrics.kind)/\(name)", $0) } })
  }

  /// Waits until the disk holds every event so far.
  package func flush() throws(StorageError) { try file.flush() }

  private static var now: Double { Date().timeIntervalSince1970 }

  /// Events up to the first damaged one, that at the beginning of the file not counted.
  package static func count(of bytes: [UInt8]) -> Int {
    max(0, EventRecords(bytes[...]).reduce(0) { count, _ in count + 1 } - 1)
  }

  /// Where an event file is not what was written, if it is not; a last event that a crash has cut
  /// short is no damage.
  package static func damage(of bytes: [UInt8]) -> (offset: Int, problem: String)? {
    guard !bytes.isEmpty else { return nil }
    var records = EventRecords(bytes[...])
    var number = 0
    while let record = records.next() {
      number += 1
      if number == 1, !EventRecord.isVersion(record) {
        return (0, "it does not begin as an event file does")
      }
    }
    guard let problem = records.problem else { return nil }
    return (bytes.count - records.left, "\(problem) of event \(number + 1) does not hold")
  }

  /// An event file whose scalars have the tags of today, so that a run begun by an earlier version has
  /// one curve; as long as it was.
  static func withTagsOfToday(_ bytes: [UInt8]) -> [UInt8] {
    var result = bytes
    var place = 0
    for message in EventRecords(bytes[...]) {
      let count = message.count + EventRecord.frameBytes
      if let renamed = EventRecord.withTagsOfToday(message) {
        result.replaceSubrange(place..<place + count, with: EventRecord.framed(renamed))
      }
      place += count
    }
    return result
  }

  /// Bytes of the whole records up to the first of a later step, or to the first damaged one; 0 if
  /// the file does not begin as an event file does.
  package static func length(of bytes: [UInt8], keepingUpTo step: Int) -> Int {
    var length = 0
    for record in EventRecords(bytes[...]) {
      guard length > 0 || EventRecord.isVersion(record), EventRecord.step(of: record) <= step
      else { break }
      length += record.count + EventRecord.frameBytes
    }
    return length
  }
}
