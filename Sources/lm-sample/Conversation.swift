import CommandSupport
import Eval
import Tokenize

/// Prompts typed at a terminal, each continued as it is sampled.
struct Conversation {
  let writer: SampleWriter

  /// The next line that is typed, after a prompt; on a terminal that can do it, one that can be edited.
  private static func source() -> () throws -> [UInt8]? {
    if LineEditor.isPossible {
      var editor = LineEditor(prompt: "> ")
      return { try editor.next() }
    }
    var lines = LineReader()
    return {
      Terminal.write("> ")
      return try lines.next()
    }
  }

  /// Asks until the input ends.
  func run() throws {
    Terminal.note(
      "Type the beginning of a sentence; an empty line samples a whole one. "
        + "Ctrl-C stops a sentence, Ctrl-D leaves.")
    try Break.handle()
    let nextLine = Self.source()
    var answered = 0
    while true {
      let line = try nextLine()
      if Break.takeRequest() {
        // What was typed so far is gone, as in a shell.
        Terminal.write("\n")
        continue
      }
      guard let line else { break }
      do {
        // Numbered on, so that the same prompt gets another answer.
        try writer.stream(
          Prompt.line(of: line), name: "the prompt", number: answered, isStopped: Break.takeRequest)
        answered += 1
      } catch let error as EvaluationError {
        Terminal.note("\(error)")
      } catch let error as TokenizerError {
        Terminal.note("\(error)")
      }
    }
    Terminal.write("\n")
  }
}
