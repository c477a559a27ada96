import Deterministic
import Foundation
import LMData
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
/// order of reading nor on the number of threads. Blank lines are passed over; a line too long for the
/// trainer is cut into parts that are drawn as lines are.
final class SentenceSample: BlockTask {
  /// A line that may be in the sample.
  struct Candidate {
    var priority: UInt64
    var file: Int
    var line: Int
    /// Which part of a line that was cut; 0 for a whole one.
    var part = 0
    var text: [UInt8]

    func comesBefore(_ other: Candidate) -> Bool {
      (priority, file, line, part) < (other.priority, other.file, other.line, other.part)
    }
  }

  /// What there was to draw from: lines, or parts of those that were cut.
  struct Totals: Equatable {
    var sentences = 0
    var bytes = 0
    /// Lines that were cut, and what became of them.
    var longLines = 0
    var partsOfLongLines = 0

    mutating func add(_ other: Totals) {
      sentences += other.sentences
      bytes += other.bytes
      longLines += other.longLines
      partsOfLongLines += other.partsOfLongLines
    }
  }

  /// What was found in a block.
  struct Product {
    var candidates: [Candidate] = []
    var totals = Totals()
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
    var totals = SentenceSample.Totals()
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
  ) throws(TokenizerError) -> Product {
    let ceiling = kept.withLock { $0.ceiling }
    var product = Product()
    var start = 0
    var line = block.firstLine
    let bytes = block.bytes
    guard let base = bytes.baseAddress else { return product }
    while start < bytes.count {
      let newline = memchr(base + start, 0x0A, bytes.count - start)
      let end = newline.map { UnsafeRawPointer($0) - UnsafeRawPointer(base) } ?? bytes.count
      if end > start && (rule?.split(file: file, line: line) ?? 0) == 0 {
        let text = UnsafeBufferPointer(rebasing: bytes[start..<end])
        try draw(text, ofFile: file, line: line, upTo: ceiling, into: &product)
      }
      start = end + 1
      line += 1
    }
    return product
  }

  private func draw(
    _ text: UnsafeBufferPointer<UInt8>, ofFile file: Int, line: Int, upTo ceiling: UInt64,
    into product: inout Product
  ) throws(TokenizerError) {
    product.totals.bytes += text.count
    let priority = LineHash.bits(seed: seed, file: file, line: line)
    // Lines that are short even with every letter replaced by <UNK>.
    let isShort = text.count * (vocabulary == nil ? 1 : 3) <= TrainerText.longestSentence
    if isShort && priority > ceiling {
      product.totals.sentences += 1
      return
    }
    if !isValidUTF8(text) { throw .invalidUTF8(path: paths[file], line: line + 1) }
    let mapped = vocabulary.map { $0.mapping(Array(text)).text }
    func drawParts(of text: UnsafeBufferPointer<UInt8>) {
      let parts = TrainerText.parts(of: text)
      product.totals.sentences += parts.count
      if parts.count > 1 {
        product.totals.longLines += 1
        product.totals.partsOfLongLines += parts.count
      }
      for (number, part) in parts.enumerated() {
        let priority = number == 0 ? priority : SplitMix64.mix(priority &+ UInt64(number))
        if priority > ceiling { continue }
        product.candidates.append(
          Candidate(
            priority: priority, file: file, line: line, part: number, text: Array(text[part])))
      }
    }
    if let mapped { mapped.withUnsafeBufferPointer(drawParts) } else { drawParts(of: text) }
  }

  func consume(_ product: Product, ofFile index: Int) {
    kept.withLock { kept in
      kept.totals.add(product.totals)
      for candidate in product.candidates where candidate.priority <= kept.ceiling {
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
      kept.heap.sorted { ($0.file, $0.line, $0.part) < ($1.file, $1.line, $1.part) }.map(\.text)
    }
  }

  /// What the sample was drawn from.
  var totals: Totals { kept.withLock { $0.totals } }
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
