import Foundation
package import LMData
import Storage

/// The lines of a score file.
///
/// As a table, the first line begins with `#` and names the columns, which are separated by tabs. Numbers are
/// written so that reading them gives the same number. In texts, `\t`, `\r`, `\n` and `\\` stand for tab,
/// carriage return, newline and backslash; in a token, `▁` stands for a space, and any byte that is no
/// whole UTF-8 character by itself is written as `\xE2`.
package struct ScoreLines {
  /// What has a figure of its own.
  package enum Unit: Sendable {
    /// A line a sentence.
    case sentences
    /// A line a sentence, with every token and its log-probability in the last column: `token:logprob`
    /// separated by single spaces, where the number begins after the last colon.
    case tokens(TokenTable)
    /// A line a word, and one for the `</s>` of every sentence.
    case words(TokenTable, WordStarts)
  }

  private let unit: Unit
  private let format: ScoreFormat

  package init(_ unit: Unit = .sentences, format: ScoreFormat = .table) {
    self.unit = unit
    self.format = format
  }

  /// What stands above the lines, a newline included.
  var header: String {
    guard format == .table else { return "" }
    let columns =
      switch unit {
      case .sentences: ["nats", "tokens", "words", "text"]
      case .tokens: ["nats", "tokens", "words", "text", "token:logprob"]
      case .words:
        [
          "name", "sentence", "word", "text", "tokens", "naive_nats", "naive_bits", "nats", "bits",
        ]
      }
    return "# \(columns.joined(separator: "\t"))\n"
  }

  /// Adds the line of a sentence, or those of its words.
  func append(_ sentence: ScoredSentence, to buffer: inout [UInt8]) {
    if case .words(let tokens, let starts) = unit {
      let words = WordSurprisal.words(of: sentence.score, tokens: tokens, starts: starts)
      for (index, word) in words.enumerated() {
        let spelled = word.tokens.map { spell($0, of: sentence.score, tokens) }
        switch format {
        case .jsonl:
          buffer += Self.json(sentence, index + 1, word, spelled).utf8
        case .table, .kenlm:
          buffer += Self.row(sentence, index + 1, word, spelled).utf8
        }
        buffer.append(UInt8(ascii: "\n"))
      }
      return
    }
    switch format {
    case .table: appendRow(sentence, to: &buffer)
    case .jsonl: buffer += json(sentence).utf8
    case .kenlm:
      // Adding zero turns the -0 of a certain sentence into 0.
      let total = -sentence.score.nats / log(10) + 0
      buffer += "Total: \(total) OOV: \(sentence.unknownWords)".utf8
    }
    buffer.append(UInt8(ascii: "\n"))
  }

  // MARK: Sentences

  private func appendRow(_ sentence: ScoredSentence, to buffer: inout [UInt8]) {
    buffer += "\(sentence.score.nats)\t\(sentence.tokens)\t\(sentence.words)\t".utf8
    buffer += Self.escaped(sentence.text)
    if case .tokens(let tokens) = unit {
      for (index, nll) in sentence.score.nllNats.enumerated() {
        buffer.append(index == 0 ? UInt8(ascii: "\t") : UInt8(ascii: " "))
        buffer += "\(spell(index, of: sentence.score, tokens)):\(0 - Double(nll))".utf8
      }
    }
  }

  private func json(_ sentence: ScoredSentence) -> String {
    var fields = [
      "\"name\":\(Self.quoted(sentence.name))", "\"sentence\":\(sentence.number)",
      "\"text\":\(Self.quoted(String(decoding: sentence.text, as: UTF8.self)))",
      "\"words\":\(sentence.words)", "\"nats\":\(sentence.score.nats)",
    ]
    if case .tokens(let tokens) = unit {
      let score = sentence.score
      let spelled = score.targets.indices.map { Self.quoted(spell($0, of: score, tokens)) }
      fields.append("\"tokens\":[\(spelled.joined(separator: ","))]")
      let numbers = score.nllNats.map { "\(0 - Double($0))" }
      fields.append("\"logprobs\":[\(numbers.joined(separator: ","))]")
    } else {
      fields.append("\"tokens\":\(sentence.tokens)")
    }
    return "{\(fields.joined(separator: ","))}"
  }

  // MARK: Words

  private static func row(
    _ sentence: ScoredSentence, _ number: Int, _ word: WordSurprisal, _ tokens: [String]
  ) -> String {
    ([
      string(escaped(sentence.name.utf8)), "\(sentence.number)", "\(number)",
      string(escaped(word.text)), tokens.joined(separator: " "),
    ] + figures(word).map { "\($0.value)" }).joined(separator: "\t")
  }

  private static func json(
    _ sentence: ScoredSentence, _ number: Int, _ word: WordSurprisal, _ tokens: [String]
  ) -> String {
    let fields =
      [
        "\"name\":\(quoted(sentence.name))", "\"sentence\":\(sentence.number)",
        "\"word\":\(number)", "\"text\":\(quoted(string(word.text)))",
        "\"tokens\":[\(tokens.map(quoted).joined(separator: ","))]",
      ] + figures(word).map { "\"\($0.name)\":\($0.value)" }
    return "{\(fields.joined(separator: ","))}"
  }

  private static func figures(_ word: WordSurprisal) -> [(name: String, value: Double)] {
    [
      ("naive_nats", word.naiveNats), ("naive_bits", word.naiveNats / log(2)),
      ("nats", word.nats), ("bits", word.nats / log(2)),
    ]
  }

  // MARK: Texts

  /// A token of a sentence, or `</s>` for the last.
  private func spell(_ index: Int, of score: SequenceScore, _ tokens: TokenTable) -> String {
    if index + 1 == score.targets.count { return "</s>" }
    return tokens.spelling(score.targets[index])
  }

  private static func string(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  private static func escaped(_ text: some Sequence<UInt8>) -> [UInt8] {
    var escaped: [UInt8] = []
    for byte in text {
      switch byte {
      case UInt8(ascii: "\t"): escaped += "\\t".utf8
      case UInt8(ascii: "\r"): escaped += "\\r".utf8
      case UInt8(ascii: "\n"): escaped += "\\n".utf8
      case UInt8(ascii: "\\"): escaped += "\\\\".utf8
      default: escaped.append(byte)
      }
    }
    return escaped
  }

  private static func quoted(_ text: String) -> String { JSONText.quoted(text) }
}
