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
  package static func runCommand() -> Never {
    // A reader that has gone away is no reason for a signal.
    signal(SIGPIPE, SIG_IGN)
    // Nor is a limit on the size of files: the write fails and is reported as any other.
    signal(SIGXFSZ, SIG_IGN)
    let name = configuration.commandName ?? "command"
    do {
      Processor.requireVectorUnits(command: name)
      // For scripts/install.sh; --generate-completion-script is ArgumentParser's own.
      if CommandLine.arguments.dropFirst() == ["--generate-manual"] {
        print(try Manual.page(for: Self.self), terminator: "")
        Foundation.exit(0)
      }
      var command = try parseAsRoot()
      try command.run()
      let code = Terminal.flushOutput()
      if code != 0 && code != EPIPE {
        throw CommandError("could not write standard output: \(String(cString: strerror(code)))")
      }
      Foundation.exit(0)
    } catch  where exitCode(for: error) == .success {
      exit(withError: error)
    } catch let error as ExitCode {
      Foundation.exit(error.rawValue)
    } catch  where exitCode(for: error) == .validationFailure {
      Terminal.write(fullMessage(for: error) + "\n")
      Foundation.exit(2)
    } catch {
      StatusLine.shared.clear()
      Terminal.write("\(name): \(Terminal.styled("error:", .red, on: .errors)) \(error)\n")
      Foundation.exit(1)
    }
  }
}
