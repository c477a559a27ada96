import ArgumentParser
import CommandSupport
import DeviceCheck
import Foundation
import Storage
import Tensor

/// Every operation of a device beside its definition in Float64, and what the device promises.
struct DeviceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "device",
    abstract: "Check every operation of a device against its definition, and what it promises.",
    discussion: """
      Errors are relative to the largest element of a result. Decoding, causality
      and independence of the batch are compared bit for bit where the device
      promises them. Nothing but this program and the device is needed. The exit
      code is 1 if something does not hold.
      """)

  @Option(help: "Only checks whose name contains this.") var filter: String?
  @Flag(help: "Print JSON.") var json = false
  @OptionGroup var place: PlaceOptions

  private struct Row: Encodable {
    let check: String
    let findings: Int
    /// Of the finding that is closest to its bound, or beyond it by most.
    let worst: String
    let error: Double
    let bound: Double
    let holds: Bool
  }

  func run() throws {
    let kernels = try place.kernels()
    let checks = DeviceCheck.all.filter { check in
      filter.map { check.name.contains($0) } ?? true
    }
    // Kernels are compiled side by side then, not one when the one before has run.
    _ = kernels.workingNeed { for check in checks { _ = try? check.run(on: kernels) } }
    var rows: [Row] = []
    for check in checks {
      let findings = try check.run(on: kernels)
      // What needs no room comes last; what is past its bound, first.
      guard let worst = findings.max(by: { share($0) < share($1) }) else { continue }
      let row = Row(
        check: check.name, findings: findings.count, worst: worst.what, error: worst.error,
        bound: worst.bound, holds: findings.allSatisfy(\.holds))
      rows.append(row)
      // A line at a time: what has been found before an interruption counts.
      if !json { print(describe(row)) }
    }
    if json { print(String(decoding: try JSONFile.encode(rows), as: UTF8.self), terminator: "") }
    let wrong = rows.count { !$0.holds }
    guard !rows.isEmpty else { throw CommandError("no check has a name with \(filter ?? "")") }
    if !json { print("\(rows.count) checks of \(kernels.name), \(rows.count - wrong) hold") }
    guard wrong == 0 else { throw CommandError("\(wrong) of \(rows.count) checks do not hold") }
  }

  /// The error as a part of its bound.
  private func share(_ finding: Finding) -> Double {
    finding.error == 0 ? 0 : finding.error / finding.bound
  }

  private func describe(_ row: Row) -> String {
    let verdict = row.holds ? "holds" : "FAILS"
    if row.bound == 0 {
      return row.holds
        ? "\(verdict)  same bits            \(row.check)"
        : "\(verdict)  other bits           \(row.check): \(row.worst)"
    }
    let figures = String(format: "%.1e of %.0e", row.error, row.bound)
    return "\(verdict)  \(figures)  \(row.check): \(row.worst)"
  }
}
