import ArgumentParser
import Storage
import Tokenize

extension LineEnds: ExpressibleByArgument {}

/// The text that a model reads: splits of a data set, or files.
struct TextOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Folder of shards made by lm-tokenize.", valueName: "dir"),
    completion: .directory)
  var data: String?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Split of --data (test); several are scored as one text, audit takes one.", valueName: "split"
    ), completion: .list(["train", "valid", "test", "heldout"]))
  var split: [String] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Text files instead of --data, one sentence a line; .gz and .zst are read as they are; - is "
        + "standard input.",
      valueName: "file"), completion: .file())
  var text: [String] = []

  @Option(
    help: "What ends a line of --text: newline; any: CR LF and CR as well (Windows, old Macs).")
  var lineEnds = LineEnds.newline

  /// The splits to score, if there is a data set.
  var splits: [String] { split.isEmpty ? ["test"] : split }

  /// Refuses what cannot be read as one text.
  ///
  /// - Parameters:
  ///   - vocabulary: The list of words, which may be on standard input as well.
  ///   - isRequired: Whether there must be a text.
  func check(vocabulary: String? = nil, isRequired: Bool = true) throws {
    guard (data == nil) != text.isEmpty || (!isRequired && data == nil) else {
      throw ValidationError(
        "give the text with either --data DIR or --text FILE (- for standard input)")
    }
    if lineEnds != .newline, text.isEmpty {
      throw ValidationError(
        "--line-ends belongs to --text; for a data set it belongs to lm-tokenize")
    }
    let read = files(vocabulary: vocabulary)
    guard read.count(where: { $0 == PipeSpool.standardInput }) < 2 else {
      throw ValidationError("standard input (-) is named twice, and can be only one text or list")
    }
    if !split.isEmpty, data == nil { throw ValidationError("--split belongs to --data") }
    if Set(split).count < split.count {
      throw ValidationError("--split names a split twice: its text would be counted twice")
    }
  }

  /// Reads pipes into files; called while Ctrl-C still ends the program at once, as a pipe may give its
  /// text slowly.
  func keepPipes(vocabulary: String? = nil) throws {
    for path in files(vocabulary: vocabulary) { _ = try PipeSpool.readable(path) }
  }

  /// Whether a split or a file of these is one of the other's.
  func overlaps(_ other: TextOptions) -> Bool {
    if let data, let otherData = other.data {
      return data == otherData && !Set(splits).isDisjoint(with: other.splits)
    }
    let files = Set(text.compactMap { try? Files.identity(of: $0) })
    return other.text.contains { path in
      (try? Files.identity(of: path)).map(files.contains) ?? false
    }
  }

  /// The files of text and the list of words.
  func files(vocabulary: String?) -> [String] { text + (vocabulary.map { [$0] } ?? []) }
}
