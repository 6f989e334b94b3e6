# A Rails application in one file, on puma: Action Cable at /cable, and POST /announce, whose
# background job broadcasts to everybody on AnnouncementsChannel.
ENV["RAILS_ENV"] = "production"
require "rails"
require "action_controller/railtie"
require "active_job/railtie"
require "action_cable/engine"
require "puma"
require "puma/server"

class CableApp < Rails::Application
  config.load_defaults 6.1
  config.eager_load = false
  config.secret_key_base = "0" * 64
  config.hosts.clear
  config.logger = ActiveSupport::Logger.new($stderr, level: Logger::FATAL)
  config.active_job.queue_adapter = :async
  config.action_cable.mount_path = nil
  config.action_cable.disable_request_forgery_protection = true
  config.action_cable.cable = { "adapter" => "async" }
  routes.append do
    mount ActionCable.server => "/cable"
    match "/announce", to: "announcements#create", via: %i[get post]
  end
end

module ApplicationCable
  class Connection < ActionCable::Connection::Base
    def connect
      reject_unauthorized_connection if request.params[:token] == "wrong"
    end
  end
end

# Returns what it is told to whoever said it, or to everybody.
class EchoChannel < ActionCable::Channel::Base
  def subscribed
    stream_from "echo"
  end

  def echo(data)
    transmit({ "message" => data["message"] })
  end

  def speak(data)
    ActionCable.server.broadcast("echo", { "message" => data["message"] })
  end
end

class AnnouncementsChannel < ActionCable::Channel::Base
  def subscribed
    stream_from "announcements"
  end
end

class LockedChannel < ActionCable::Channel::Base
  def subscribed
    reject
  end
end

class AnnounceJob < ActiveJob::Base
  def perform(text)
    ActionCable.server.broadcast("announcements", { "text" => text, "html" => "<p>news</p>" })
  end
end

class AnnouncementsController < ActionController::API
  def create
    AnnounceJob.perform_later(params[:text].to_s)
    head :accepted
  end
end

ActionCable.server.config.connection_class = -> { ApplicationCable::Connection }
CableApp.initialize!
server = Puma::Server.new(CableApp, Puma::Events.null, min_threads: 4, max_threads: 4)
socket = server.add_tcp_listener("127.0.0.1", 0)
server.run
puts "listening on 127.0.0.1:#{socket.addr[1]}"
$stdout.flush
sleep
