package import Communication
import Foundation
package import Tensor

/// Which way numbers go between the cards of several ranks.
package struct CardLink {
  /// `auto` takes NCCL where it can work, `on` refuses to go without, `off` leaves it alone.
  package static let variable = "LM_NCCL"

  /// Nil where they go through memory of the host and the communicator.
  package let link: NCCLLink?
  /// The way, and why not the other one, for a line of text.
  package let description: String

  /// Finds the way together with all ranks, each of which computes on a card.
  ///
  /// - Parameters:
  ///   - driver: Of this rank's card.
  ///   - precision: Of the run.
  ///   - ranks: All of them.
  ///   - environment: Of the process.
  /// - Throws: One sentence if NCCL is demanded and cannot work, or fails where it should work.
  package init(
    _ driver: CUDADriver, _ precision: Precision, _ ranks: any Communicator,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws {
    let choice = environment[Self.variable] ?? "auto"
    let own = try ranks.together {
      guard ["auto", "on", "off"].contains(choice) else {
        throw CommunicationError.unusable(
          "\(Self.variable) is \"\(choice)\", expected auto, on or off")
      }
      return Self.look(driver, isOff: choice == "off")
    }
    let place = Self.host + " " + driver.card.busID
    let places = try Self.gather(place, ranks)
    let versions = try Self.gather(own.nccl?.version ?? "", ranks)
    let obstacles = try Self.gather(own.obstacle ?? "", ranks)
    let isDemanded = try ranks.any([choice == "on"])[0]
    if let obstacle = Self.obstacle(obstacles, versions: versions, places: places) {
      // Of all ranks one says so.
      try ranks.onRoot {
        guard !isDemanded else {
          throw CommunicationError.unusable("\(Self.variable) is on, but \(obstacle)")
        }
      }
      link = nil
      description = "MPI and memory of the hosts; \(obstacle)"
      return
    }
    guard let nccl = own.nccl else { preconditionFailure("a library that is nowhere") }
    let id = try ranks.together { ranks.isRoot ? try nccl.makeID() : [] }
    let beside = try driver.makeSibling()
    guard let sibling = beside as? CUDADriver else { preconditionFailure("another driver") }
    let link = try NCCLLink(nccl, sibling, precision, id: try ranks.gather(id)[0], ranks)
    self.link = link
    description = link.description
  }

  /// The library of this rank, or why there is none.
  private static func look(_ driver: CUDADriver, isOff: Bool) -> (nccl: NCCL?, obstacle: String?) {
    if isOff { return (nil, "\(variable) is off") }
    do throws(DeviceError) {
      return (try NCCL(driver.libraries), nil)
    } catch {
      if case .failed(_, let problem) = error { return (nil, problem) }
      return (nil, "\(error)")
    }
  }

  /// Why NCCL cannot work for these ranks; nil if it can.
  static func obstacle(_ obstacles: [String], versions: [String], places: [String]) -> String? {
    if let rank = obstacles.firstIndex(where: { !$0.isEmpty }) {
      return (rank == 0 ? "" : "on rank \(rank) ") + obstacles[rank]
    }
    if let odd = versions.firstIndex(where: { $0 != versions[0] }) {
      return "rank 0 has NCCL \(versions[0]) and rank \(odd) has \(versions[odd])"
    }
    for (rank, place) in places.enumerated() {
      if let first = places.firstIndex(of: place), first < rank {
        return "ranks \(first) and \(rank) share a card, which NCCL refuses"
      }
    }
    return nil
  }

  /// What tells this host from others; containers of one may have other names.
  private static var host: String {
    let path = "/proc/sys/kernel/random/boot_id"
    if let text = try? String(contentsOfFile: path, encoding: .utf8) {
      return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
    return ProcessInfo.processInfo.hostName
  }

  private static func gather(
    _ text: String, _ ranks: any Communicator
  ) throws(CommunicationError) -> [String] {
    try ranks.gather(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }
}
