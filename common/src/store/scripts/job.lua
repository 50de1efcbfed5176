-- The prelude of the scripts on job records.
--
-- A job record is JSON in the hash `jobs`, under the job's name: state, generation, heartbeat_ms, instance, worker,
-- exclusive, crashes, exclusive_crashes, blamed (instances counted as crashed -> whether they ran the job exclusively),
-- not_before_ms (earliest next attempt), snoozed {until_ms, reason}, drops (by RabbitMQ's policies), and history (errors of attempts, newest last).
-- Messages of any generation but the current one have no effect. That includes newer generations, which exist if Redis
-- was restored from a backup.

local HISTORY = 20

local function now_ms()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

local function read_job(jobs, name)
  local text = redis.call('HGET', jobs, name)
  return text and cjson.decode(text) or {crashes = 0, exclusive_crashes = 0}
end

-- Returns the record of an unfinished job, or nil and the verdict that explains why the call has no effect.
local function open_job(submission, jobs, name, generation)
  local state = redis.call('HGET', submission, 'state')
  if not state then return nil, 'orphaned' end
  if state ~= 'running' then return nil, 'closed' end
  local job = read_job(jobs, name)
  if (job.generation or 0) ~= generation then return nil, 'stale' end
  if job.state == 'done' or job.state == 'discarded' then return nil, 'finished' end
  return job
end

local function write_job(jobs, name, job)
  job.heartbeat_ms = now_ms()
  redis.call('HSET', jobs, name, cjson.encode(job))
end

local function add_history(job, worker, error)
  local history = job.history or {}
  history[#history + 1] = {at_ms = now_ms(), worker = worker, error = error}
  while #history > HISTORY do table.remove(history, 1) end
  job.history = history
end

-- Takes back the crash of an instance that is still alive: it had only lost its connection to RabbitMQ.
local function retract_crash(job, instance)
  local exclusive = job.blamed and job.blamed[instance]
  if exclusive == nil then return false end
  job.blamed[instance] = nil
  if next(job.blamed) == nil then job.blamed = nil end
  job.crashes = job.crashes - 1
  if exclusive then job.exclusive_crashes = job.exclusive_crashes - 1 end
  add_history(job, nil, 'the worker is alive after all: it had only lost its connection to RabbitMQ')
  return true
end

-- Stores and counts the results after ARGV[first] (index, class, JSON), except for items that already have one. ARGV[first] is
-- the class of the device that computed them, or ''. Returns the submission's number of failed items.
local function apply_results(submission, results, first)
  local succeeded, cached, failed = 0, 0, 0
  for at = first + 1, #ARGV, 3 do
    if redis.call('HSETNX', results, ARGV[at], ARGV[at + 2]) == 1 then
      if ARGV[at + 1] == 'failed' then
        failed = failed + 1
      else
        succeeded = succeeded + 1
        if ARGV[at + 1] == 'cached' then cached = cached + 1 end
      end
    end
  end
  redis.call('HINCRBY', submission, 'succeeded', succeeded)
  redis.call('HINCRBY', submission, 'cached', cached)
  if ARGV[first] ~= '' and succeeded > cached then
    redis.call('HINCRBY', submission, 'computed_on:' .. ARGV[first], succeeded - cached)
  end
  return redis.call('HINCRBY', submission, 'failed', failed)
end
