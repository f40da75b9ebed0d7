-- What every script begins with. All keys of a partition share the root of KEYS[1], and so one hash tag.
--
--   g            hash    the partition itself: epoch of the log, pos (the last position), gen, server, id
--   h:STREAM     hash    the current run of a stream (FIELDS)
--   o:STREAM     hash    its earlier runs by epoch: "run oldest head closed pos"
--   e:STREAM:E   stream  the events of the run E; an entry's id is seq-position, e the event
--   d0:, d1:STREAM hash  ids that publishers gave: the newer ones and the ones before
--   f:STREAM     hash    the folds' snapshots
--   x:KIND       stream  the firehose: position-0 -> "epoch seq count stream"; x:! has what else happened
--   v                    reserved positions that were not used: "first count" (sorted set)
--   k, n, r:KIND         the kinds (set), the streams by name and by recency (sorted sets)
--   old, q, t            earlier runs by time (sorted set), runs to be removed (list), trimmed streams (set)
--   l:NAME, w:ID         leases (hash), the last answer to each writer and the one to each change (string)
local root = string.sub(KEYS[1], 1, -2)
local FIELDS = {'epoch', 'run', 'oldest', 'head', 'id', 'pos', 'term', 'closed', 'created', 'updated',
  'dg', 'dn', 'old'}
local NEW_SERVER_GAP = 1048576
local CONTROLS_MAX = 100000
local REMOVED_AT_ONCE = 50
local call = redis.call
local position, generation, before, now, last_id, changed, start

local function int(number)
  return string.format('%d', number)
end

local function gone()
  return redis.error_reply('GONE the log is not here any more')
end

-- Reads where the partition is; false if the log is gone. A server that did not write the last position may
-- have lost events (a failover, a restart): it goes on far behind the positions that readers may have seen.
-- Where positions are reserved (`reserving`), their counter does that.
local function begin(epoch, time, reserving)
  local at = call('HMGET', KEYS[1], 'epoch', 'pos', 'gen', 'server', 'id')
  if at[1] ~= epoch then return false end
  position, generation, last_id = tonumber(at[2]), tonumber(at[3]), at[5] or ''
  if time then
    now = tonumber(time)
    if now == 0 then
      local clock = call('TIME')
      now = clock[1] * 1000000 + clock[2]
    end
    local server = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
    if server ~= at[4] then
      changed = at[4] and at[4] ~= ''
      if changed then
        position, generation = position + (reserving and 0 or NEW_SERVER_GAP), generation + 1
      end
      call('HSET', KEYS[1], 'pos', int(position), 'gen', int(generation), 'server', server)
    end
  end
  before = position
  return true
end

-- Says that `count` reserved positions are not used.
local function spare(first, count)
  if count > 0 then
    call('ZADD', root .. 'v', int(first), int(first) .. ' ' .. int(count))
    call('ZREMRANGEBYSCORE', root .. 'v', '-inf', int(first - NEW_SERVER_GAP))
  end
end

-- Goes on at `first` of the reserved positions, if it is not too late for them; 0 takes the next one there is, -1 one by
-- the clock: where partitions do not share positions, they are still about the same at the same time.
local function go_to(first, reserved)
  if first <= 0 then
    if first < 0 then position = math.max(position, now - 1) end
    before = position
    return true
  end
  if first <= position then
    spare(first, reserved)
    return false
  end
  start = position
  position, before = first - 1, first - 1
  return true
end

local function behind()
  return redis.error_reply('BEHIND ' .. int(position))
end

-- Spares what is left of the reserved positions; the partition stays where it was if none is used.
local function fill(first, reserved)
  if first <= 0 then return end
  spare(position + 1, first + reserved - 1 - position)
  if position == first - 1 then position, before = start, start end
end

local function commit()
  call('HSET', KEYS[1], 'pos', int(position), 'id', last_id)
end

local function kind_of(stream)
  return string.sub(stream, 1, string.find(stream, ':', 1, true) - 1)
end

local function load_stream(stream)
  local v = call('HMGET', root .. 'h:' .. stream, unpack(FIELDS))
  if not v[1] then return nil end
  return {stream = stream, kind = kind_of(stream), epoch = v[1], run = tonumber(v[2]), oldest = tonumber(v[3]),
    head = tonumber(v[4]), id = v[5], pos = tonumber(v[6]), term = tonumber(v[7]), closed = tonumber(v[8]),
    created = v[9], updated = v[10], dg = tonumber(v[11]), dn = tonumber(v[12]), old = tonumber(v[13])}
end

local function save_stream(s)
  call('HSET', root .. 'h:' .. s.stream, 'epoch', s.epoch, 'run', int(s.run), 'oldest', int(s.oldest), 'head',
    int(s.head), 'id', s.id, 'pos', int(s.pos), 'term', s.term, 'closed', int(s.closed), 'created', s.created,
    'updated', s.updated, 'dg', s.dg, 'dn', s.dn, 'old', s.old)
end

local function new_run(stream, epoch, s)
  s = s or {stream = stream, kind = kind_of(stream), dg = 0, dn = 0, old = 0}
  s.epoch, s.run, s.pos = epoch, position + 1, position + 1
  s.oldest, s.head, s.id, s.term, s.closed = 1, 0, '', 0, 0
  s.created, s.updated = int(now), int(now)
  return s
end

local function add_control(change, epoch, oldest, stream)
  position, last_id = position + 1, ''
  call('XADD', root .. 'x:!', 'MAXLEN', '~', CONTROLS_MAX, int(position) .. '-0', 'v',
    change .. ' ' .. epoch .. ' ' .. int(oldest) .. ' ' .. stream)
end

local function close_run(s)
  s.closed = position + 1
  add_control('end', s.epoch, s.oldest, s.stream)
end

-- Who ran a stream that is sealed or cleared, or worked at it, writes no more: the roles are those of `rules.ROLES`.
local function revoke(stream)
  call('DEL', root .. 'l:runner:' .. stream, root .. 'l:work:' .. stream)
end

local function keep_run(s)
  call('HSET', root .. 'o:' .. s.stream, s.epoch,
    int(s.run) .. ' ' .. int(s.oldest) .. ' ' .. int(s.head) .. ' ' .. int(s.closed) .. ' ' .. int(s.pos))
  call('ZADD', root .. 'old', s.updated, s.epoch .. ' ' .. s.stream)
  s.old = s.old + 1
end

-- An earlier run of a stream, as the current one is told of: {epoch, run, oldest, head, closed, pos}.
local function earlier_run(stream, epoch)
  local packed = call('HGET', root .. 'o:' .. stream, epoch)
  if not packed then return nil end
  local run, oldest, head, closed, pos = string.match(packed, '(%d+) (%d+) (%d+) (%d+) (%d+)')
  return {stream = stream, epoch = epoch, run = tonumber(run), oldest = tonumber(oldest), head = tonumber(head),
    closed = tonumber(closed), pos = tonumber(pos)}
end

local function find_run(s, epoch)
  if not s then return nil end
  if s.epoch == epoch then return s end
  return s.old > 0 and earlier_run(s.stream, epoch) or nil
end

local function place_of(entry_id)
  local seq, pos = string.match(entry_id, '(%d+)-(%d+)')
  return tonumber(seq), tonumber(pos)
end

-- The entry of the firehose that holds `pos`, as {entry id, first position, epoch, first seq, count, stream}.
local function covering(index, pos)
  local found = call('XREVRANGE', index, int(pos) .. '-0', '-', 'COUNT', 1)[1]
  if not found then return nil end
  local start = place_of(found[1])
  local epoch, seq, count, stream = string.match(found[2][2], '(%x+) (%d+) (%d+) (.+)')
  if start + tonumber(count) <= pos then return nil end
  return {found[1], start, epoch, tonumber(seq), tonumber(count), stream}
end

-- Removes at most `most` of a run's events before `oldest`, with their places in the firehose; returns how many.
local function remove_some(stream, epoch, oldest, most)
  local key, index = root .. 'e:' .. stream .. ':' .. epoch, root .. 'x:' .. kind_of(stream)
  local rows = call('XRANGE', key, '-', '(' .. int(oldest) .. '-0', 'COUNT', most)
  if #rows == 0 then return 0 end
  local _, first = place_of(rows[1][1])
  local seq, last = place_of(rows[#rows][1])
  local head = covering(index, first)
  local tail = covering(index, last)
  if tail and (tail[3] ~= epoch or tail[6] ~= stream or tail[4] + tail[5] - 1 <= seq) then tail = nil end
  local entries = {}
  if head and head[3] == epoch and head[6] == stream then entries[1] = head[1] end
  for row = 1, #rows do
    local _, pos = place_of(rows[row][1])
    entries[#entries + 1] = int(pos) .. '-0'
  end
  local unused = {}
  for _, entry in ipairs(entries) do
    if not (tail and entry == tail[1]) then unused[#unused + 1] = entry end
  end
  if #unused > 0 then call('XDEL', index, unpack(unused)) end
  call('XTRIM', key, 'MINID', '=', int(seq + 1) .. '-0')
  return #rows
end

-- The same, a few at a time: events are read whole, and may be large.
local function remove_events(stream, epoch, oldest, most)
  local removed = 0
  while removed < most do
    local some = math.min(REMOVED_AT_ONCE, most - removed)
    local gone = remove_some(stream, epoch, oldest, some)
    removed = removed + gone
    if gone < some then break end
  end
  return removed
end

local function pack_event(row)
  local seq, pos = place_of(row[1])
  return '\147' .. cmsgpack.pack(seq) .. cmsgpack.pack(pos) .. row[2][2]
end

-- The id of an event: the first string of the array of MessagePack that is stored.
local function id_in(packed)
  local kind, first, second = string.byte(packed, 2, 4)
  if kind == 217 then return string.sub(packed, 4, 3 + first) end
  if kind == 218 then return string.sub(packed, 5, 4 + first * 256 + second) end
  return string.sub(packed, 3, 2 + kind - 160)
end

local function event_id(row)
  return id_in(row[2][2])
end

local function array(size)
  return '\221' .. struct.pack('>I4', size)
end

local function info_of(s)
  return {s.stream, s.epoch, s.head, s.oldest, s.id, s.closed, tonumber(s.created), tonumber(s.updated), s.pos}
end

local function wake(command)
  call(command, root .. 'wake', int(position))
end
