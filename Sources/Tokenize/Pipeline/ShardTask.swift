import Foundation
import LMData
import Storage

/// Encodes the lines of a corpus and writes them as shards into a folder.
///
/// A file gets one shard for each split that it has lines of, or several where it is large: a
/// shard ends after the block that takes it to ``shardBytes`` of text, so its borders follow from
/// the text alone.
///
/// Unchecked because of `outputs`, as the pipeline gives each file to one thread at a time, and of
/// `spare`, which `lock` guards.
final class ShardTask: BlockTask, @unchecked Sendable {
  /// Encoded lines, the split of each where a rule deals them out, and its unknown words where
  /// there is a list of words.
  struct Product {
    var lines: EncodedLines
    var splits: [UInt8]?
    var unknownWords: [Int32]?
  }

  /// What one thread encodes with.
  struct Worker {
    let encoder: LineEncoder
    let mapped = MappedBlock()
  }

  private let model: SentencePieceModel
  private let files: [CorpusFile]
  /// Number of the first of them in the corpus.
  private let firstFile: Int
  private let rule: SplitRule?
  private let vocabulary: WordList?
  private let folder: String
  private let shardBytes: Int
  private let outputs: [FileOutput]
  private let exchange = WordExchange()
  private let lock = NSLock()
  /// Memory to be used again: fresh memory costs the system a pass over it.
  private var spare: [EncodedLines] = []

  /// The shards of one file.
  private final class FileOutput {
    /// By split.
    var open = [OpenShard?](repeating: nil, count: Corpus.splits.count)
    var finished: [(split: Int, part: Int, info: ShardInfo)] = []
  }

  private final class OpenShard {
    let part: Int
    let writer: ShardWriter
    var bytes = 0

    init(part: Int, writer: ShardWriter) {
      self.part = part
      self.writer = writer
    }
  }

  init(
    model: SentencePieceModel, files: [CorpusFile], firstFile: Int, rule: SplitRule?,
    vocabulary: WordList?, folder: String, shardBytes: Int
  ) {
    self.model = model
    self.files = files
    self.firstFile = firstFile
    self.rule = rule
    self.vocabulary = vocabulary
    self.folder = folder
    self.shardBytes = shardBytes
    outputs = files.map { _ in FileOutput() }
  }

  func makeWorker() -> Worker {
    Worker(encoder: LineEncoder(model: model, exchange: exchange))
  }

  func process(
    _ block: TextBlock, ofFile index: Int, with worker: Worker
  ) throws(TokenizerError) -> Product {
    let lines = lock.withLock { spare.popLast() } ?? EncodedLines(idCapacity: block.count / 3 + 64)
    var text = block.bytes
    if let vocabulary {
      let mapped = worker.mapped
      if !mapped.fill(from: text, keeping: vocabulary) {
        throw .invalidUTF8(
          path: files[index].path, line: block.firstLine + mapped.unknownWords.count + 1)
      }
      text = mapped.bytes
    }
    if try !worker.encoder.encodeBlock(text, into: lines) {
      throw .invalidUTF8(
        path: files[index].path, line: block.firstLine + lines.lineCount + 1)
    }
    let splits = rule.map { rule in
      (0..<lines.lineCount).map { line in
        UInt8(rule.split(file: firstFile + index, line: block.firstLine + line))
      }
    }
    return Product(
      lines: lines, splits: splits, unknownWords: vocabulary.map { _ in worker.mapped.unknownWords }
    )
  }

  func consume(_ product: Product, ofFile index: Int) throws(TokenizerError) {
    let output = outputs[index]
    let fixed = Corpus.splits.firstIndex(of: files[index].split) ?? 0
    let lines = product.lines
    do {
      for (number, line) in lines.lines.enumerated() {
        let split = product.splits.map { Int($0[number]) } ?? fixed
        let shard = try output.open[split] ?? open(split, ofFile: index)
        shard.bytes += Int(line.bytes)
        try shard.writer.append(
          lines[number], words: Int(line.words), bytes: Int(line.bytes),
          unknownWords: product.unknownWords.map { Int($0[number]) })
      }
      for split in output.open.indices where output.open[split]?.bytes ?? 0 >= shardBytes {
        try close(split, ofFile: index)
      }
    } catch {
      throw .shard("\(error)")
    }
    lock.withLock { spare.append(lines) }
  }

  func finish(file index: Int) throws(TokenizerError) {
    for split in outputs[index].open.indices {
      do { try close(split, ofFile: index) } catch { throw .shard("\(error)") }
    }
  }

  /// Gives the shards their final names; called once everything is written.
  ///
  /// - Returns: The shards by split, in the order of the files.
  func nameShards() throws(TokenizerError) -> [String: [ShardInfo]] {
    var shards: [String: [ShardInfo]] = [:]
    for output in outputs {
      let ordered = output.finished.sorted { ($0.split, $0.part) < ($1.split, $1.part) }
      for (split, _, found) in ordered {
        let name = Corpus.splits[split]
        var info = found
        info.file = ShardInfo.fileName(split: name, number: shards[name]?.count ?? 0)
        do {
          try Files.rename(folder + "/" + found.file, to: folder + "/" + info.file)
        } catch {
          throw .storage(error)
        }
        shards[name, default: []].append(info)
      }
    }
    return shards
  }

  private func open(_ split: Int, ofFile index: Int) throws(ShardError) -> OpenShard {
    let output = outputs[index]
    let part = output.finished.count { $0.split == split }
    let writer = try ShardWriter(
      path: "\(folder)/working-\(index)-\(split)-\(part)",
      idBytes: Manifest.idBytes(vocabularySize: model.vocabularySize), eos: model.special.eos,
      source: files[index].name)
    let shard = OpenShard(part: part, writer: writer)
    output.open[split] = shard
    return shard
  }

  private func close(_ split: Int, ofFile index: Int) throws(ShardError) {
    let output = outputs[index]
    guard let shard = output.open[split] else { return }
    output.open[split] = nil
    output.finished.append((split, shard.part, try shard.writer.finish()))
  }
}
