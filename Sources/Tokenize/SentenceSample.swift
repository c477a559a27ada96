import Foundation
import Synchronization

/// How many lines a tokenizer is trained on.
///
/// With the defaults the unigram trainer takes some 1.7 GB of memory, the BPE trainer a third.
package struct SampleLimits: Equatable, Sendable {
  package var sentences: Int
  package var bytes: Int

  package init(sentences: Int = 500_000, bytes: Int = 96 << 20) {
    self.sentences = sentences
    self.bytes = bytes
  }
}

/// A uniform sample of the lines of a corpus, taken in one pass in bounded memory.
///
/// Every line has a random number made from the seed, its file and its place; the lines with the
/// smallest numbers are kept, as many as the limits allow. So the sample depends neither on the
/// order of reading nor on the number of threads. Blank lines are passed over, and of a very long
/// line only the beginning is taken.
final class SentenceSample: BlockTask {
  /// A line that may be in the sample.
  struct Candidate {
    var priority: UInt64
    var file: Int
    var line: Int
    var text: [UInt8]

    func comesBefore(_ other: Candidate) -> Bool {
      (priority, file, line) < (other.priority, other.file, other.line)
    }
  }

  private let limits: SampleLimits
  private let seed: UInt64
  private let rule: SplitRule?
  private let vocabulary: WordList?
  private let paths: [String]
  fileprivate let kept = Mutex(Kept())

  /// A heap with the largest number on top.
  fileprivate struct Kept {
    var heap: [Candidate] = []
    var bytes = 0
    var ceiling = UInt64.max
  }

  /// - Parameter vocabulary: Words outside it are `<UNK>` in the sample.
  init(
    limits: SampleLimits, seed: UInt64, rule: SplitRule?, vocabulary: WordList?, paths: [String]
  ) {
    self.limits = limits
    self.seed = seed
    self.rule = rule
    self.vocabulary = vocabulary
    self.paths = paths
  }

  func makeWorker() {}

  func process(
    _ block: TextBlock, ofFile file: Int, with worker: Void
  ) throws(TokenizerError) -> [Candidate] {
    let ceiling = kept.withLock { $0.ceiling }
    var found: [Candidate] = []
    var start = 0
    var line = block.firstLine
    let bytes = block.bytes
    guard let base = bytes.baseAddress else { return [] }
    while start < bytes.count {
      let newline = memchr(base + start, 0x0A, bytes.count - start)
      let end = newline.map { UnsafeRawPointer($0) - UnsafeRawPointer(base) } ?? bytes.count
      let priority = LineHash.bits(seed: seed, file: file, line: line)
      if priority <= ceiling && end > start && (rule?.split(file: file, line: line) ?? 0) == 0 {
        let text = UnsafeBufferPointer(rebasing: bytes[start..<end])
        if !isValidUTF8(text) { throw .invalidUTF8(path: paths[file], line: line + 1) }
        let mapped = vocabulary.map { $0.mapping(Array(text)).text }
        found.append(
          Candidate(
            priority: priority, file: file, line: line,
            text: mapped?.withUnsafeBufferPointer(Self.beginning) ?? Self.beginning(of: text)))
      }
      start = end + 1
      line += 1
    }
    return found
  }

  func consume(_ candidates: [Candidate], ofFile index: Int) {
    kept.withLock { kept in
      for candidate in candidates where candidate.priority <= kept.ceiling {
        kept.insert(candidate)
        while kept.heap.count > limits.sentences || kept.bytes > limits.bytes {
          kept.ceiling = min(kept.ceiling, kept.removeLargest())
        }
      }
    }
  }

  func finish(file index: Int) {}

  /// The lines of the sample in the order of the corpus.
  func sentences() -> [[UInt8]] {
    kept.withLock { kept in
      kept.heap.sorted { ($0.file, $0.line) < ($1.file, $1.line) }.map(\.text)
    }
  }

  /// A line up to the length that the trainer takes, cut at a space or at least at a character.
  private static func beginning(of text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    let limit = TokenizerTrainer.longestSentence
    if text.count <= limit { return Array(text) }
    if let space = text[..<limit].lastIndex(of: 0x20), space > 0 { return Array(text[..<space]) }
    var end = limit
    while end > 0 && text[end] & 0xC0 == 0x80 { end -= 1 }
    return Array(text[..<end])
  }
}

extension SentenceSample.Kept {
  fileprivate mutating func insert(_ candidate: SentenceSample.Candidate) {
    bytes += candidate.text.count
    heap.append(candidate)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      if !heap[parent].comesBefore(heap[child]) { break }
      heap.swapAt(parent, child)
      child = parent
    }
  }

  /// Removes the line with the largest number and returns that number.
  fileprivate mutating func removeLargest() -> UInt64 {
    heap.swapAt(0, heap.count - 1)
    let removed = heap.removeLast()
    bytes -= removed.text.count
    var parent = 0
    while true {
      var largest = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if heap[largest].comesBefore(heap[child]) { largest = child }
      }
      if largest == parent { break }
      heap.swapAt(parent, largest)
      parent = largest
    }
    return removed.priority
  }
}
