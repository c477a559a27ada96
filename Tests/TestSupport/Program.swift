import Foundation

/// What a program left behind.
package struct ProgramOutcome: Sendable {
  package var status: Int32
  package var output: String
  package var errors: String
}

/// Runs one of the commands from the folder of the tests' own executable, where it was built.
///
/// - Parameter signal: A signal to send once standard error holds a text, for example after the
///   first step of training.
/// - Parameter fileBlocks: Largest file it may write, in blocks of 512 bytes, as a quota would.
/// - Parameter outputPath: Where standard output goes instead, `/dev/full` for example.
/// - Parameter redirections: What a shell does to its descriptors first, `2>&-` for example.
/// - Parameter before: With redirections, a command that starts the program.
/// - Parameter shell: A line that a shell runs instead, with the programs in its path.
package func runProgram(
  _ name: String, _ arguments: [String], input: String = "",
  signal: (number: Int32, after: String)? = nil, fileBlocks: Int? = nil,
  outputPath: String? = nil, redirections: String? = nil, before: String = "",
  shell: String? = nil
) throws -> ProgramOutcome {
  let tests = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
  let process = Process()
  let program = tests.deletingLastPathComponent().appendingPathComponent(
    name.isEmpty ? "none" : name)
  if let shell {
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    let folder = program.deletingLastPathComponent().path
    process.arguments = ["-c", "PATH='\(folder)':$PATH; " + shell]
  } else if let redirections {
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments =
      ["-c", "exec \(before) \"$0\" \"$@\" \(redirections)", program.path] + arguments
  } else if let fileBlocks {
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments =
      ["-c", "ulimit -f \(fileBlocks); exec \"$0\" \"$@\"", program.path] + arguments
  } else {
    process.executableURL = program
    process.arguments = arguments
  }
  let (standardInput, output, errors) = (Pipe(), Pipe(), Pipe())
  process.standardInput = standardInput
  if let outputPath {
    process.standardOutput = FileHandle(forWritingAtPath: outputPath)
    try output.fileHandleForWriting.close()
  } else {
    process.standardOutput = output
  }
  process.standardError = errors
  try process.run()
  standardInput.fileHandleForWriting.write(Data(input.utf8))
  try standardInput.fileHandleForWriting.close()
  var messages = Data()
  var pending = signal
  while case let part = errors.fileHandleForReading.availableData, !part.isEmpty {
    messages += part
    if let waiting = pending, String(decoding: messages, as: UTF8.self).contains(waiting.after) {
      kill(process.processIdentifier, waiting.number)
      pending = nil
    }
  }
  // Outputs here are far below what a pipe holds, so nothing waits for this read.
  let text = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return ProgramOutcome(
    status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
    errors: String(decoding: messages, as: UTF8.self))
}
