-- ARGV: epoch, now, "acquire", name, owner, ttl -> {token, expires}, or nil while another owner's lease holds;
-- "release", name, owner, token -> nil; "renew", ttl, {name, owner, token} of each -> {1 or 0 of each: is it still held}.
if not begin(ARGV[1], ARGV[2]) then return gone() end
if ARGV[3] == 'renew' then
  local ttl, renewed = tonumber(ARGV[4]), {}
  for at = 5, #ARGV, 3 do
    local lease = root .. 'l:' .. ARGV[at]
    local there = call('HMGET', lease, 'owner', 'token')
    local holds = there[1] == ARGV[at + 1] and there[2] == ARGV[at + 2]
    if holds then call('HSET', lease, 'expires', int(now + ttl), 'ttl', int(ttl)) end
    renewed[#renewed + 1] = holds and 1 or 0
  end
  return renewed
end
local key, owner = root .. 'l:' .. ARGV[4], ARGV[5]
local held = call('HMGET', key, 'owner', 'token', 'expires', 'ttl')
if ARGV[3] == 'release' then
  if held[1] == owner and held[2] == ARGV[6] then call('DEL', key) end
  return false
end
local ttl, token = tonumber(ARGV[6]), held[2]
if held[1] ~= owner then
  local left = held[1] and tonumber(held[3]) - now or 0
  if left > 0 and left <= tonumber(held[4]) then return false end
  token = int(call('HINCRBY', KEYS[1], 'tokens', 1))
end
call('HSET', key, 'owner', owner, 'token', token, 'expires', int(now + ttl), 'ttl', int(ttl))
return {token, int(now + ttl)}
