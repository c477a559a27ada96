/// Names of options that earlier versions had.
///
/// They go on working; help, completions, manual pages and messages have the names of today alone.
package enum EarlierOptions {
  private static let names = [
    "--batch-pieces": "--batch-tokens", "--max-pieces": "--max-tokens",
    "--micro-batch-pieces": "--micro-batch-tokens", "--per-piece": "--per-token",
  ]

  /// The arguments with the names of today, up to a `--`.
  package static func renamed(in arguments: [String]) -> [String] {
    let options = arguments.prefix { $0 != "--" }
    return options.map { argument in
      let name = argument.prefix { $0 != "=" }
      return current(String(name)) + argument[name.endIndex...]
    } + arguments[options.endIndex...]
  }

  /// The name that an option has today.
  static func current(_ name: String) -> String { names[name] ?? name }

  /// What some of the options were called.
  static func earlierNames(of options: [String]) -> [String] {
    names.filter { options.contains($0.value) }.map(\.key)
  }
}
