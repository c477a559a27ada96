import Foundation

/// A program that is run to be measured: its time, when it first says something, and its memory.
package struct Child {
  package struct Outcome: Sendable {
    package let status: Int32
    /// From the start of the program to its end, in seconds.
    package let seconds: Double
    /// To the first byte of its standard output, in seconds; nil if there was none.
    package let firstOutput: Double?
    /// Largest resident memory, in bytes; Linux counts that of the program which started it, too, so
    /// only a small one may ask.
    package let peakBytes: Int
    package let output: [UInt8]
  }

  private let program: String
  private let arguments: [String]

  /// - Parameters:
  ///   - program: Path of the executable; its messages are thrown away.
  ///   - arguments: Without the name of the program.
  package init(_ program: String, _ arguments: [String]) {
    self.program = program
    self.arguments = arguments
  }

  /// Runs it to its end.
  ///
  /// - Throws: `ChildError` if it does not start.
  package func run() throws -> Outcome {
    var pipeEnds: [Int32] = [0, 0]
    guard pipe(&pipeEnds) == 0 else { throw ChildError(program: program, code: errno) }
    defer { close(pipeEnds[0]) }
    let began = DispatchTime.now()
    let process: pid_t
    do {
      defer { close(pipeEnds[1]) }
      process = try start(output: pipeEnds[1])
    }
    var output: [UInt8] = []
    var firstOutput: Double?
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(pipeEnds[0], &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { break }
      if firstOutput == nil { firstOutput = Self.seconds(since: began) }
      output += buffer.prefix(count)
    }
    var status: Int32 = 0
    var usage = rusage()
    while wait4(process, &status, 0, &usage) < 0 && errno == EINTR {}
    return Outcome(
      status: status, seconds: Self.seconds(since: began), firstOutput: firstOutput,
      peakBytes: Int(usage.ru_maxrss) * 1_024, output: output)
  }

  private func start(output: Int32) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
    var words = ([program] + arguments).map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, program, &actions, nil, words, environ)
    guard code == 0 else { throw ChildError(program: program, code: code) }
    return process
  }

  private static func seconds(since began: DispatchTime) -> Double {
    Double(DispatchTime.now().uptimeNanoseconds - began.uptimeNanoseconds) * 1e-9
  }
}

/// A program that did not start.
package struct ChildError: Error, CustomStringConvertible {
  package let program: String
  package let code: Int32

  package var description: String { "\(program) did not start: \(String(cString: strerror(code)))" }
}
