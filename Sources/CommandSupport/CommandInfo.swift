import ArgumentParser
import Foundation

/// A command with its options and subcommands, as ArgumentParser describes it to other programs.
///
/// Only the part that a manual page and messages need.
struct CommandInfo: Decodable {
  let commandName: String
  let abstract: String?
  let discussion: String?
  let arguments: [ArgumentInfo]?
  let subcommands: [CommandInfo]?
  let shouldDisplay: Bool

  /// - Throws: `DecodingError` if the description has another form than that of the version this was
  ///   written for.
  init(of command: any ParsableCommand.Type) throws {
    struct Dump: Decodable { let command: CommandInfo }
    self = try JSONDecoder().decode(Dump.self, from: Data(command._dumpHelp().utf8)).command
  }

  /// The subcommands of the help; `help` itself is none of them.
  var shownSubcommands: [CommandInfo] {
    (subcommands ?? []).filter { $0.shouldDisplay && $0.commandName != "help" }
  }

  /// The long names of the options.
  var optionNames: [String] {
    (arguments ?? []).flatMap { $0.names ?? [] }.filter { $0.kind == "long" }.map(\.spelled)
  }
}
