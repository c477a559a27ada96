import ArgumentParser
import Model

/// Heads of a decoder that is timed, where they are not as ever.
struct HeadOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Heads of keys and values, each of which serves several heads of queries (as many).",
      valueName: "heads"))
  var kvHeads: Int?
  @Option(help: "Width of a head (the model's by the heads).") var headDim: Int?
  @Flag(help: "Biases of queries, keys and values, as in Qwen2.") var qkvBias = false

  /// Puts them into a configuration.
  func apply(to config: inout ModelConfig) {
    config.fewerKeyValueHeads = kvHeads
    config.ownHeadWidth = headDim
    config.qkvBias = qkvBias
    config.normaliseHeads()
  }
}
