import ArgumentParser

/// What a model sees before the token that it predicts.
struct WindowOptions: ParsableArguments {
  enum Context: String, ExpressibleByArgument, CaseIterable { case sentence, stream }

  @Option(help: "sentence: each alone; stream: windows on the running text, with --data only.")
  var context = Context.sentence

  @Option(
    name: [.long, .customLong("stream-length")],
    help: "Window of --context stream in tokens, </s> included.")
  var length: Int?

  @Option(
    help: ArgumentHelp(
      "Tokens from one window to the next: every token is scored once, after at least --length less "
        + "this of context (windows do not overlap).", valueName: "tokens"))
  var stride: Int?

  /// - Parameter data: The data set, if the text is one.
  func check(data: String?) throws {
    guard (context == .stream) == (length != nil) else {
      throw ValidationError("--context stream and --length N belong together")
    }
    if let length, !(1...WorkOptions.mostTokens).contains(length) {
      throw ValidationError("--length is \(length), expected 1 to \(WorkOptions.mostTokens)")
    }
    if context == .stream, data == nil {
      throw ValidationError("--context stream needs --data DIR")
    }
    if let stride {
      guard let length else {
        throw ValidationError("--stride belongs to --context stream --length N")
      }
      guard (1...length).contains(stride) else {
        throw ValidationError("--stride is \(stride), expected 1 to --length, \(length)")
      }
    }
  }
}
