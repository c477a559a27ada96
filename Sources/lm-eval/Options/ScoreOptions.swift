import ArgumentParser
import Eval
import LMData

/// What has a score of its own.
enum ScoreUnit {
  case sentences, tokens, words

  /// What a score file writes of it.
  ///
  /// - Parameters:
  ///   - table: Spells the ids.
  ///   - starts: The tokens before which a word is over, for words.
  func lines(_ table: TokenTable, _ starts: WordStarts?) -> ScoreLines.Unit {
    switch self {
    case .sentences: .sentences
    case .tokens: .tokens(table)
    case .words: starts.map { .words(table, $0) } ?? .sentences
    }
  }
}

/// Finer scores than one a sentence.
struct ScoreOptions: ParsableArguments {
  @Flag(help: "Add the log-probability of every token.")
  var perToken = false

  @Flag(
    help: "One line a word in place of one a sentence: its surprisal, with the end of the word.")
  var perWord = false

  var unit: ScoreUnit { perWord ? .words : perToken ? .tokens : .sentences }

  /// Refuses what does not go together.
  func check(_ format: ScoreFormat) throws {
    if perToken, perWord {
      throw ValidationError("give --per-token or --per-word, not both")
    }
    guard format == .kenlm else { return }
    if perToken {
      throw ValidationError("--per-token is a column of the table: KenLM's lines have none")
    }
    if perWord {
      throw ValidationError("--per-word writes a table or JSON lines: KenLM has none for words")
    }
  }
}
