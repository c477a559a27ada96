import CommandSupport
import LMData
import Train

/// Commands that are printed to be copied into a shell.
enum NextCommand {
  /// How a run is measured: on text it was not trained on, and in the way it was trained.
  static func evaluation(of run: String, _ dataSet: DataSet, _ config: RunConfig) -> String {
    let splits = dataSet.manifest.splits.filter { $0.value.contains { $0.sentences > 0 } }.keys
    let preferred = ["test", config.data.validSplit, "heldout"] + splits.sorted()
    let others = preferred.first { splits.contains($0) && $0 != config.data.trainSplit }
    let split = others ?? config.data.trainSplit
    let words =
      [
        "lm-eval", "perplexity", "--checkpoint", path(run), "--data", path(dataSet.directory),
        "--split", split,
      ]
      + (config.data.streamLength.map { ["--context", "stream", "--stream-length", "\($0)"] } ?? [])
    return (others == nil ? "there is no text but that of training; " : "")
      + "next: \(Arguments.line(words))"
  }

  /// How an interrupted run is taken up.
  static func resumption(of run: String, _ dataSet: DataSet) -> String {
    Arguments.line([
      "lm-train", "--data", path(dataSet.directory), "--output", path(run), "--resume",
    ])
  }

  /// A path that is no option, whatever it begins with.
  private static func path(_ path: String) -> String { path.hasPrefix("-") ? "./" + path : path }
}
