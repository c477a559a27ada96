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
    let name = configuration.commandName ?? "command"
    do {
      Processor.requireVectorUnits(command: name)
      var command = try parseAsRoot()
      try command.run()
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
      Terminal.write("\(name): error: \(error)\n")
      Foundation.exit(1)
    }
  }
}

/// Looks at the processor before the first instruction it may not have.
package enum Processor {
  /// Ends the program with one sentence if AVX2 or fused multiply-add is missing.
  ///
  /// The kernels are compiled for x86-64-v3; without this look an older processor would end the
  /// program with an illegal instruction and no word.
  package static func requireVectorUnits(command: String) {
    #if arch(x86_64)
      guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) else { return }
      let missing = missingVectorUnits(cpuinfo: text)
      guard !missing.isEmpty else { return }
      Terminal.write(
        "\(command): error: this processor lacks \(missing.joined(separator: ", ")), which the "
          + "program is built for; run it on an x86-64 machine from about 2013 on (x86-64-v3)\n")
      Foundation.exit(1)
    #endif
  }

  /// The flags that the kernels need and the processor lacks; none if it does not say.
  ///
  /// - Parameter cpuinfo: The text of `/proc/cpuinfo`.
  package static func missingVectorUnits(cpuinfo: String) -> [String] {
    let lines = cpuinfo.split(separator: "\n")
    guard let line = lines.first(where: { $0.hasPrefix("flags") }) else { return [] }
    let flags = Set(line.split { $0 == " " || $0 == "\t" })
    return ["avx2", "fma", "bmi2"].filter { !flags.contains(Substring($0)) }
  }
}
