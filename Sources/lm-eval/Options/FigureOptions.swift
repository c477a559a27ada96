import ArgumentParser

/// Which figures are computed beside the perplexity, and where all of them go.
struct FigureOptions: ParsableArguments {
  @Option(
    help: "Draws of a sampled attention that are scored beside its expectation; 0 for none.")
  var hashSeeds = 4

  @Flag(help: "Print one JSON object instead of the table.")
  var json = false

  @Flag(help: "Keep the figures in the run, where lm-eval report finds them.")
  var record = false

  func check() throws {
    guard (0...1_000_000).contains(hashSeeds) else {
      throw ValidationError("--hash-seeds is \(hashSeeds), expected 0 to 1000000")
    }
  }
}
