import ArgumentParser

/// An n-gram model that the decoder is interpolated with.
struct MixOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Interpolate word by word with an n-gram model in the ARPA format, plain, .gz or .zst.",
      valueName: "arpa"), completion: .file())
  var mix: String?

  @Option(
    help: ArgumentHelp(
      "Weight of the decoder in the mixture, 0 to 1 (tuned on the split valid of --data).",
      valueName: "weight"))
  var mixWeight: Double?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Text files that the weight is tuned on in place of the split valid.", valueName: "file"),
    completion: .file())
  var mixTune: [String] = []

  /// Refuses what does not go together.
  func check(
    models: Int, _ text: TextOptions, _ window: WindowOptions, printsPaperLine: Bool
  ) throws {
    guard mix != nil else {
      if mixWeight != nil || !mixTune.isEmpty {
        throw ValidationError("--mix-weight and --mix-tune belong to --mix ARPA")
      }
      return
    }
    if let mixWeight, !(mixWeight >= 0 && mixWeight <= 1) {
      throw ValidationError("--mix-weight is \(mixWeight), expected 0 to 1")
    }
    if mixWeight != nil, !mixTune.isEmpty {
      throw ValidationError("give --mix-weight or --mix-tune, not both")
    }
    if mixWeight == nil, mixTune.isEmpty, text.data == nil {
      throw ValidationError(
        "--mix with --text needs the weight: give --mix-weight, or a text to tune it on with --mix-tune"
      )
    }
    if models > 1 { throw ValidationError("--mix is for one --checkpoint at a time") }
    if window.context == .stream {
      throw ValidationError("--mix needs --context sentence: an n-gram model begins at <s>")
    }
    if printsPaperLine {
      throw ValidationError("a line for a paper is of the decoder alone: leave out --mix")
    }
  }

  /// The text that the weight is tuned on; nil if the weight is given.
  ///
  /// - Parameter text: The text that is measured.
  func tuning(_ text: TextOptions) -> TextOptions? {
    guard mix != nil, mixWeight == nil else { return nil }
    var tuning = text
    if mixTune.isEmpty {
      tuning.split = ["valid"]
    } else {
      tuning.data = nil
      tuning.split = []
      tuning.text = mixTune
    }
    return tuning
  }
}
