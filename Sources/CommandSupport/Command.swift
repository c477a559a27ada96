package import ArgumentParser
import Foundation

/// A problem to be said in one sentence.
package struct CommandError: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) {
    self.description = description
  }
}

extension ParsableCommand {
  /// Runs the command: usage errors end with code 2, any other with one sentence and code 1.
  ///
  /// - Parameters:
  ///   - arguments: What was typed behind the name of the program.
  ///   - prepare: Run first of all; commands that save when a signal asks for it say so here.
  package static func runCommand(
    arguments: [String] = Array(CommandLine.arguments.dropFirst()),
    preparing prepare: () -> Void = {}
  ) -> Never {
    StandardStreams.open()
    let name = configuration.commandName ?? "command"
    prepare()
    Interrupt.passOverUserSignals(command: name)
    do {
      Processor.requireVectorUnits(command: name)
      // For scripts/install.sh; --generate-completion-script is ArgumentParser's own.
      if arguments == ["--generate-manual"] {
        print(try Manual.page(for: Self.self), terminator: "")
        leave(0, name)
      }
      var command = try parseAsRoot(Arguments.joiningNegativeNumbers(arguments))
      try command.run()
      leave(0, name)
    } catch let error as ExitCode {
      leave(error.rawValue, name)
    } catch  where exitCode(for: error) == .success {
      // Help, completions and what else is asked for in place of a run.
      print(fullMessage(for: error))
      leave(0, name)
    } catch  where exitCode(for: error) == .validationFailure {
      Terminal.write(usageMessage(error, arguments) + "\n")
      leave(2, name)
    } catch {
      say("\(error)", name)
      leave(1, name)
    }
  }

  /// A usage error with the usage below it.
  ///
  /// ArgumentParser looks for what is missing before it looks at what is unknown, and so a slip in a
  /// required option would be told as its absence.
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

  /// Ends the program; good work whose figures could not be written ends with code 1.
  ///
  /// A reader that has seen enough and gone away is no failure.
  private static func leave(_ code: Int32, _ name: String) -> Never {
    let failure = StandardStreams.flushOutput()
    if code == 0, failure != 0, failure != EPIPE {
      say("could not write standard output: \(String(cString: strerror(failure)))", name)
      Foundation.exit(1)
    }
    Foundation.exit(code)
  }
}
