import ArgumentParser

/// By what the figures of a text are broken down.
struct BreakdownOptions: ParsableArguments {
  @Flag(help: "Add the figures of every file of --text.")
  var perFile = false

  @Option(
    help: ArgumentHelp(
      "Add the perplexity of tokens by how often they occur in the training text of this data set.",
      valueName: "dir"), completion: .directory)
  var byFrequency: String?

  @Flag(help: "Add the perplexity of tokens by their place in the sentence.")
  var byPosition = false

  /// Whether any was asked for.
  var isAsked: Bool { perFile || byFrequency != nil || byPosition }

  /// Refuses what does not go together.
  func check(_ text: TextOptions, _ window: WindowOptions, printsPaperLine: Bool) throws {
    if perFile, text.text.isEmpty {
      throw ValidationError("--per-file belongs to --text; splits are scored one by one")
    }
    if byPosition, window.context == .stream {
      throw ValidationError("--by-position needs --context sentence: a window is no sentence")
    }
    if isAsked, printsPaperLine {
      throw ValidationError(
        "a line for a paper is of the whole text: leave out --per-file, --by-frequency and "
          + "--by-position")
    }
  }
}
