import Foundation
package import LMData
import Storage
import Synchronization

/// Turns a corpus into a data set: tokenizer, shards and manifest in one folder.
package struct DataSetBuilder: Sendable {
  /// Where the tokenizer comes from.
  package enum Tokenizer: Equatable, Sendable {
    /// Trained on a sample of the training text.
    case train(TokenizerRecipe, SampleLimits)

    /// A model file, copied as it is.
    case file(String)

    /// The bytes of a model file.
    case serialized([UInt8])

    /// The words of the builder's list are the tokens, the most frequent of the training text first.
    case words
  }

  /// What is being done.
  package enum Phase: Equatable, Sendable {
    case sampling(CorpusProgress)
    /// The words of a list are counted in the training text.
    case counting(CorpusProgress)
    /// - Parameter total: Of how many the sentences were drawn.
    case training(sentences: Int, total: Int)
    case encoding(CorpusProgress)

    /// Something that the user should know, in one sentence.
    case note(String)
  }

  package var corpus: Corpus
  package var output: String
  package var tokenizer: Tokenizer

  /// Words outside it become `<UNK>` before anything else, if set.
  package var vocabulary: WordList?

  /// Deals out the lines of the `train` files, if set.
  package var rule: SplitRule?
  /// What ends a line of the corpus.
  package var lineEnds = LineEnds.newline
  package var seed: UInt64 = 1
  package var threads = 1

  /// The part of the corpus that becomes shards, if not all of it; the tokenizer is that of the whole.
  package var part: CorpusPart?

  /// Whether a data set that has the name of the output is replaced, once the new one is complete.
  package var overwrite = false

  /// Bytes of text after which a shard is closed.
  package var shardBytes = 64 << 20

  package init(corpus: Corpus, output: String, tokenizer: Tokenizer) {
    self.corpus = corpus
    self.output = output
    self.tokenizer = tokenizer
  }

  /// Builds the data set; the output folder appears complete or not at all.
  ///
  /// The files depend on the text, the tokenizer's options and the seed, never on the number of
  /// threads.
  ///
  /// - Parameters:
  ///   - isCancelled: Asked now and then; true ends the work with an error.
  ///   - report: Told of progress, from several threads.
  package func build(
    isCancelled: @escaping @Sendable () -> Bool = { false },
    report: @escaping @Sendable (Phase) -> Void = { _ in }
  ) throws(TokenizerError) -> Manifest {
    // Two at once would take each other's unfinished folder for one that was left behind.
    let lock: FileLock
    do {
      lock = try FileLock(
        of: output, at: "\(Files.parent(of: output))/.\(Files.name(of: output)).lock")
    } catch .storage(let error) {
      throw .storage(error)
    } catch {
      throw .options("\(error)")
    }
    defer { lock.release() }
    // First of all: it may give an old folder its name back.
    do { try AtomicDirectory.removeAbandoned(besides: output) } catch { throw .storage(error) }
    let place = OutputFolder(path: output, inputs: inputs, overwrite: overwrite)
    try place.check()
    if rule != nil && corpus.files.contains(where: { $0.split != "train" }) {
      throw .options("lines can be dealt out to splits only where all the text is for training")
    }
    if case .file(let path) = tokenizer, vocabulary == nil,
      try SentencePieceModel(path: path, loadsLibrary: false).modelType == .word
    {
      throw .options(
        "the tokens of \(path) are the words of a list; give that list with --vocabulary, so that the "
          + "data set says which words it knows")
    }
    do {
      // The folder comes after the training, which nobody but the end of the process can interrupt.
      let model = try makeModel(isCancelled, report)
      // Meanwhile the encoders begin: few words need the library.
      let loading = threads > 1 ? LibraryLoading(model) : nil
      defer { loading?.wait() }
      let directory = try AtomicDirectory(target: output)
      try AtomicFile.write(model.serialized, to: directory.path + "/tokenizer.model")
      let chosen = part?.files(of: corpus) ?? corpus.files.indices
      let task = ShardTask(
        model: model, files: Array(corpus.files[chosen]), firstFile: chosen.lowerBound, rule: rule,
        vocabulary: vocabulary, folder: directory.path, shardBytes: shardBytes)
      try encode(task, corpus.files[chosen].map(\.path), model, loading, isCancelled, report)
      let manifest = Manifest(
        tokenizer: TokenizerInfo(
          sha256: SHA256.hexDigest(of: model.serialized), modelType: model.modelType.rawValue,
          vocabularySize: model.vocabularySize),
        special: model.special,
        vocabulary: vocabulary.map { VocabularyInfo(sha256: $0.sha256, words: $0.count) },
        lineEnds: lineEnds == .newline ? nil : lineEnds.rawValue, part: part?.info,
        splits: try task.nameShards())
      if let vocabulary, let info = manifest.vocabulary {
        try AtomicFile.write(vocabulary.contents, to: directory.path + "/" + info.file)
      }
      if let note = rule?.note(on: manifest) { report(.note(note)) }
      try manifest.write(to: directory.path)
      try model.loadLibrary()
      if isCancelled() { throw TokenizerError.interrupted }
      if overwrite {
        if let kept = try directory.commit(removing: { try place.names(in: $0) }) {
          report(.note("files came into the old \(output) meanwhile; they are in \(kept) now"))
        }
      } else {
        try directory.commit()
      }
      return manifest
    } catch let error as StorageError {
      throw .storage(error)
    } catch let error as TokenizerError {
      throw error
    } catch {
      throw .shard("\(error)")
    }
  }

  /// Whether the tokenizer follows from the text, so that only one of several processes makes it.
  package var makesTokenizer: Bool {
    switch tokenizer {
    case .train, .words: true
    case .file, .serialized: false
    }
  }

  /// Throws if the place of the data set is not free, or may not be replaced.
  package func checkOutput() throws(TokenizerError) {
    try OutputFolder(path: output, inputs: inputs, overwrite: overwrite).check()
  }

  /// The file of the tokenizer, for others that encode parts of the same corpus.
  package func makeTokenizer(
    isCancelled: @escaping @Sendable () -> Bool = { false },
    report: @escaping @Sendable (Phase) -> Void = { _ in }
  ) throws(TokenizerError) -> [UInt8] {
    try makeModel(isCancelled, report).serialized
  }

  /// All that is read.
  private var inputs: [String] {
    var paths = corpus.files.map(\.path)
    if case .file(let path) = tokenizer { paths.append(path) }
    if let vocabulary { paths.append(vocabulary.path) }
    return paths
  }

  /// Runs all the text through a task; a model that the library refuses ends it early.
  private func encode(
    _ task: ShardTask, _ paths: [String], _ model: SentencePieceModel, _ loading: LibraryLoading?,
    _ isCancelled: @escaping @Sendable () -> Bool, _ report: @escaping @Sendable (Phase) -> Void
  ) throws(TokenizerError) {
    let pipeline = BlockPipeline(
      task: task, paths: paths, threads: threads, lineEnds: lineEnds,
      isCancelled: { isCancelled() || loading?.hasFailed ?? false },
      report: { report(.encoding($0)) })
    do {
      try pipeline.run()
    } catch {
      if error == .interrupted { try model.loadLibrary() }
      throw error
    }
    for note in pipeline.notes { report(.note(note)) }
  }

  /// Throws if the tokens are the words of another list than that of the builder.
  private func requireOwnWords(_ model: SentencePieceModel, path: String) throws(TokenizerError) {
    guard let vocabulary else { return }
    try model.requireOwnWords(
      vocabulary, path: path,
      advice: "give the list that the tokenizer was made of, vocabulary.txt in its data set")
  }

  private func makeModel(
    _ isCancelled: @escaping @Sendable () -> Bool, _ report: @escaping @Sendable (Phase) -> Void
  ) throws(TokenizerError) -> SentencePieceModel {
    switch tokenizer {
    case .file(let path):
      let model = try SentencePieceModel(path: path, loadsLibrary: threads == 1)
      try requireOwnWords(model, path: path)
      return model
    case .words:
      guard let vocabulary else {
        throw .options(
          "tokens that are whole words need the list of these words; give --vocabulary")
      }
      let bytes = try WordLevelModel.make(
        vocabulary, orderedBy: corpus, rule: rule, threads: threads, lineEnds: lineEnds,
        isCancelled: isCancelled, report: { report(.counting($0)) })
      return try SentencePieceModel(serialized: bytes, path: "the word-level tokenizer")
    case .serialized(let bytes):
      let model = try SentencePieceModel(serialized: bytes, path: "the tokenizer")
      try requireOwnWords(model, path: "the tokenizer")
      return model
    case .train(var recipe, let limits):
      recipe.keepsUnknownWord = vocabulary != nil
      let paths = corpus.files(of: "train").map(\.path)
      if paths.isEmpty {
        throw .options("there is no training text to train a tokenizer on; give --tokenizer FILE")
      }
      let sample = SentenceSample(
        limits: limits, seed: seed, rule: rule, vocabulary: vocabulary, paths: paths)
      try BlockPipeline(
        task: sample, paths: paths, threads: threads, lineEnds: lineEnds, isCancelled: isCancelled,
        report: { report(.sampling($0)) }
      ).run()
      let sentences = sample.sentences()
      if let rule, sentences.isEmpty {
        throw .options(
          "no line of the text fell to training, for each goes by chance, and a tokenizer is trained on "
            + "training text alone; give more text, shares smaller than \(rule.valid) for validation "
            + "and \(rule.test) for testing, or --tokenizer FILE")
      }
      report(.training(sentences: sentences.count, total: sample.totals.sentences))
      for note in SampleNotes.notes(of: sentences, from: sample.totals, limits) {
        report(.note(note))
      }
      return try TokenizerTrainer.train(recipe, sentences: sentences)
    }
  }
}

/// libsentencepiece loading a model on a thread of its own.
private final class LibraryLoading: Sendable {
  private let failed = Atomic(false)
  private let group = DispatchGroup()

  init(_ model: SentencePieceModel) {
    group.enter()
    Thread.detachNewThread { [self] in
      do { try model.loadLibrary() } catch { failed.store(true, ordering: .relaxed) }
      group.leave()
    }
  }

  /// Whether the library has refused the model; what it said is thrown by `loadLibrary` again.
  var hasFailed: Bool { failed.load(ordering: .relaxed) }

  func wait() { group.wait() }
}
