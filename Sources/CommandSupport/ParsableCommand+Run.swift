package import ArgumentParser
import Foundation

extension ParsableCommand {
  /// Runs the command: usage errors end it with code 2, any other error with one sentence and code 1.
  ///
  /// - Parameters:
  ///   - arguments: Those after the name of the program.
  ///   - answers: What is printed for an argument that stands alone, whatever else the command needs.
  ///   - parts: What `--version` says beside the program itself, a name and what it is.
  ///   - prepare: Called first; a command that saves at signals installs its handler here.
  package static func runCommand(
    arguments: [String] = Array(CommandLine.arguments.dropFirst()),
    answering answers: [String: () -> String] = [:],
    with parts: () -> [(name: String, text: String)] = { [] }, preparing prepare: () -> Void = {}
  ) -> Never {
    StandardStreams.open()
    let name = configuration.commandName ?? "command"
    let arguments = EarlierOptions.renamed(in: arguments)
    prepare()
    Interrupt.ignoreUserSignals(command: name)
    do {
      Processor.requireVectorUnits(command: name)
      // For scripts/install.sh; --generate-completion-script is ArgumentParser's own.
      if arguments == ["--generate-manual"] {
        print(try Manual.page(for: Self.self), terminator: "")
        leave(0, name)
      }
      if arguments == ["--version"] {
        print(Version.text(of: name, parts()))
        leave(0, name)
      }
      if arguments.count == 1, let answer = answers[arguments[0]] {
        print(answer())
        leave(0, name)
      }
      var command = try parseAsRoot(Arguments.joiningNegativeNumbers(arguments))
      if !(command is any RankedCommand) { try Ranks.requireOne(command: name) }
      try command.run()
      leave(0, name)
    } catch let error as ExitCode {
      leave(error.rawValue, name)
    } catch  where exitCode(for: error) == .success {
      // Help, completions and the like, which are printed instead of a run.
      if Ranks.isFirst { print(fullMessage(for: error)) }
      leave(0, name)
    } catch  where exitCode(for: error) == .validationFailure {
      if Ranks.isFirst { Terminal.write(usageMessage(error, arguments) + "\n") }
      leave(2, name)
    } catch {
      if let prefix = Ranks.prefix(of: error) { say("\(prefix)\(error)", name) }
      leave(1, name)
    }
  }

  /// A usage error with the usage below it.
  ///
  /// ArgumentParser reports missing options before unknown ones: a typo in a required option would be
  /// reported as its absence.
  private static func usageMessage(_ error: any Error, _ arguments: [String]) -> String {
    let message = fullMessage(for: error)
    guard let unknown = Arguments.unknown(in: arguments, of: Self.self) else {
      return message
    }
    let usage = message.range(of: "\nUsage: ").map { message[$0.lowerBound...] } ?? ""
    return "Error: \(unknown)" + usage
  }

  private static func say(_ problem: String, _ name: String) {
    StatusLine.shared.clear()
    Terminal.write("\(name): \(Terminal.styled("error:", .red, on: .errors)) \(problem)\n")
  }

  /// Ends the program; with code 1 if standard output could not be written.
  ///
  /// A reader that has closed the pipe is no failure. One of several processes ends all others if it
  /// has failed: they might wait for it, and some launchers let them.
  private static func leave(_ code: Int32, _ name: String) -> Never {
    let failure = StandardStreams.flushOutput()
    if code == 0, failure != 0, failure != EPIPE {
      say("could not write standard output: \(String(cString: strerror(failure)))", name)
      Ranks.abort(1)
      Foundation.exit(1)
    }
    if code == 0 { Ranks.finish() } else { Ranks.abort(code) }
    Foundation.exit(code)
  }
}
